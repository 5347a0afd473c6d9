"""Measurement: compare two sets of videos of any origin under a stated protocol."""

from tfvrnn.measurement.measure import measure_videos
from tfvrnn.measurement.report import table, write_report
from tfvrnn.measurement.result import Measurement, read_measurement

__all__ = [
    "Measurement",
    "measure_videos",
    "read_measurement",
    "table",
    "write_report",
]

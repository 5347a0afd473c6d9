"""Evaluation: measure a trained run under a stated protocol, and report the results."""

from tfvrnn.evaluation.evaluate import Result, evaluate_run, evaluate_runs, read_result
from tfvrnn.evaluation.report import grid_path, table, write_report

__all__ = [
    "Result",
    "evaluate_run",
    "evaluate_runs",
    "grid_path",
    "read_result",
    "table",
    "write_report",
]

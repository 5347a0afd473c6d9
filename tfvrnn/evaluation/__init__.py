"""Evaluation: a trained run measured under a stated protocol, and a report of it."""

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

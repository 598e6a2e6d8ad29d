"""A page about a stream: its timeline, what was said, and how alike its moments are."""

from jepa_vl.streaming.report.page import write_report

__all__ = ["write_report"]

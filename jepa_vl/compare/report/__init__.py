"""The report of a comparison: one page, and the same as Markdown."""

from jepa_vl.compare.report.write import write_report

__all__ = ["write_report"]

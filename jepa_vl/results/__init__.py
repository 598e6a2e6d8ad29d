"""What a run measured and how it came about: `Results` to and from ``results.json``, and as a table."""

from jepa_vl.results.outcomes import Outcomes, SetOutcomes
from jepa_vl.results.record import Results, with_baseline
from jepa_vl.results.run_info import RunInfo
from jepa_vl.results.table import markdown, rich_tables
from jepa_vl.results.units import quantity

__all__ = [
    "Outcomes",
    "Results",
    "RunInfo",
    "SetOutcomes",
    "markdown",
    "quantity",
    "rich_tables",
    "with_baseline",
]

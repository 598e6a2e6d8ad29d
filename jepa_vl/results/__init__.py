"""What a run measured and how it came about: `Results` to and from ``results.json``, and as a table."""

from jepa_vl.results.outcomes import Outcomes, SetOutcomes
from jepa_vl.results.record import Results, with_baseline
from jepa_vl.results.run_info import RunInfo
from jepa_vl.results.table import markdown, rich_table

__all__ = ["Outcomes", "Results", "RunInfo", "SetOutcomes", "markdown", "rich_table", "with_baseline"]

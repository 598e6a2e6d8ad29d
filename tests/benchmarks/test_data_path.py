from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_the_data_path_is_measured_and_written_as_a_table(tmp_path: Path) -> None:
    small = ("--clips", "8", "--side", "64", "--size", "64", "--frames", "4", "--rounds", "1")
    output = tmp_path / "table.md"
    command = [sys.executable, str(ROOT / "benchmarks" / "data_path.py"), *small, "--batch-size", "4"]
    done = subprocess.run(
        [*command, "--shard-mib", "0.05", "--output", str(output)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    rows = [line.strip("| ").split(" | ") for line in output.read_text().splitlines() if line.startswith("|")]
    names = [row[0] for row in rows[2:]]
    assert len(names) == 10
    for row in rows[2:]:
        assert float(row[1].replace(",", "")) > 0
        if len(row) > 2:  # a peer is a row too
            assert row[2] in names

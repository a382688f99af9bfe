from __future__ import annotations

import re
from pathlib import Path


def test_run_without_a_terminal_says_in_lines_what_it_does(finished: Path) -> None:
    err = (finished.parent / "stderr.txt").read_text().splitlines()
    lines = [line for line in err if not line.startswith("mixwise: warning: ")]
    assert all(re.match(r"\d\d:\d\d:\d\d \S", line) for line in lines), lines
    [said] = [line for line in lines if "estimated time about" in line]
    assert all(" check: " in line for line in lines[: lines.index(said)])  # on a slow machine
    for k, name in enumerate(("experts", "search", "calibration", "validation"), start=1):
        told = [line[9:] for line in lines if f"stage {k} of 6: {name}: " in line]
        assert told[0] == f"stage {k} of 6: {name}: begins"
        assert re.match(rf"stage {k} of 6: {name}: done in .*: .*; .* gone", told[-1])
    assert "finished in" in lines[-1]

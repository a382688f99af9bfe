"""What `mixwise verify` shows: a line for each thing, and what to do about those that are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from mixwise.console.text import print_text

if TYPE_CHECKING:
    from mixwise.stages.verify import Finding


def print_findings(findings: Sequence[Finding]) -> None:
    """Print what was found of each file, folder, row and input of a study."""
    for finding in findings:
        advice = f": {finding.advice}" if finding.advice else ""
        print_text(f"{finding.state:>12}  {finding.what}{advice}")
    counts = Counter(finding.state for finding in findings)
    print_text(", ".join(f"{n} {state}" for state, n in counts.items()))

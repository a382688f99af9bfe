"""What the command line shows: progress on stderr, short results on stdout."""

from mixwise.console.answer import (
    print_fidelity,
    print_recommendation,
    print_scores,
    print_verdict,
)
from mixwise.console.diagnosis import print_diagnosis, print_units
from mixwise.console.plan import print_plan
from mixwise.console.progress import ProgressBars, progress_bars
from mixwise.console.text import print_error, print_json, print_lines, print_note, print_text
from mixwise.console.verification import print_findings

__all__ = [
    "ProgressBars",
    "print_diagnosis",
    "print_error",
    "print_fidelity",
    "print_findings",
    "print_json",
    "print_lines",
    "print_note",
    "print_plan",
    "print_recommendation",
    "print_scores",
    "print_text",
    "print_units",
    "print_verdict",
    "progress_bars",
]

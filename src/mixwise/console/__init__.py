"""What the command line shows: progress on stderr, short results on stdout."""

from mixwise.console.answer import (
    print_fidelity,
    print_recommendation,
    print_scores,
    print_verdict,
)
from mixwise.console.diagnosis import print_diagnosis, print_units
from mixwise.console.ending import run_to_exit_code
from mixwise.console.plan import print_plan
from mixwise.console.progress import ProgressBars, progress_bars
from mixwise.console.text import print_json, print_lines, print_note, print_text

__all__ = [
    "ProgressBars",
    "print_diagnosis",
    "print_fidelity",
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
    "run_to_exit_code",
]

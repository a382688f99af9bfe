"""What the command line shows: progress on stderr, short results on stdout."""

from mixwise.console.answer import (
    print_fidelity,
    print_final,
    print_outcome,
    print_recommendation,
    print_scores,
)
from mixwise.console.cost import print_cost
from mixwise.console.data_review import print_review
from mixwise.console.diagnosis import print_diagnosis, print_units
from mixwise.console.ending import run_to_exit_code
from mixwise.console.fit import print_fit
from mixwise.console.notices import keeping_warnings
from mixwise.console.plan import print_plan, summarise_plan
from mixwise.console.progress import Display, progress
from mixwise.console.status import print_status, status_lines
from mixwise.console.text import print_json, print_lines, print_note, print_text
from mixwise.console.verification import print_findings

__all__ = [
    "Display",
    "keeping_warnings",
    "print_cost",
    "print_diagnosis",
    "print_fidelity",
    "print_final",
    "print_findings",
    "print_fit",
    "print_json",
    "print_lines",
    "print_note",
    "print_outcome",
    "print_plan",
    "print_recommendation",
    "print_review",
    "print_scores",
    "print_status",
    "print_text",
    "print_units",
    "progress",
    "run_to_exit_code",
    "status_lines",
    "summarise_plan",
]

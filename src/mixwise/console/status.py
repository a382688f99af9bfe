"""How far a study is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwise.console.text import print_text

if TYPE_CHECKING:
    from mixwise.mixture import Mixture
    from mixwise.stages.status import StudyStatus


def print_status(found: StudyStatus) -> None:
    """Print how far a study is, and who works in it."""
    at_work = "no process works in it"
    if found.process:
        at_work = f"process {found.process} works in it"
    print_text(f"Study:       {found.study} ({at_work})")
    print_text(f"Stage:       {found.stage}")
    print_text(f"Experts:     {found.experts.done} of {found.experts.total} made")
    print_text(
        f"References:  {found.references.done} trained; the recipe asks for at most "
        f"{found.references.total}"
    )
    print_text(f"Candidates:  {found.candidates} scored")
    best = found.best_so_far
    if best is not None:
        print_text(f"Best so far: objective {best.objective:.3f} at {_shares(best.mixture)}")
    if found.recommendation is not None:
        print_text(f"Recommended: {_shares(found.recommendation)}")
    for notice in found.notices:
        origin = ", ".join(filter(None, (notice.time, notice.command)))
        print_text(f"Notice ({origin}): {' '.join(notice.text.split())}")


def _shares(mixture: Mixture) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in mixture.as_dict().items() if share)

"""How far a study is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwise.console.lines import duration
from mixwise.console.text import print_text

if TYPE_CHECKING:
    from mixwise.mixture import Mixture
    from mixwise.stages.status import Count, StudyStatus
    from mixwise.study.standing import Standing, Work


def print_status(found: StudyStatus) -> None:
    """Print how far a study is, and who works in it."""
    for line in status_lines(found):
        print_text(line)


def status_lines(found: StudyStatus) -> list[str]:
    """How far a study is, and who works in it, in lines."""
    at_work = "no process works in it"
    if found.process:
        at_work = f"process {found.process} works in it"
    lines = [f"Study:       {found.study} ({at_work})", f"Stage:       {found.stage}"]
    if found.now is not None:
        lines += [f"Now:         {line}" for line in _now(found.now)]
    lines += [
        f"Experts:     {_of(found.experts)} made",
        f"References:  {found.references.done} trained{_at_most(found.references)}",
        f"Candidates:  {found.candidates} scored",
    ]
    best = found.best_so_far
    if best is not None:
        lines.append(f"Best so far: objective {best.objective:.3f} at {_shares(best.mixture)}")
    if found.recommendation is not None:
        lines.append(f"Recommended: {_shares(found.recommendation)}")
    if found.trust is not None:
        lines.append(f"Trust:       {found.trust.word} ({found.trust.basis})")
    for notice in found.notices:
        origin = ", ".join(filter(None, (notice.time, notice.command)))
        lines.append(f"Notice ({origin}): {' '.join(notice.text.split())}")
    return lines


def _of(count: Count) -> str:
    return f"{count.done}" if count.total is None else f"{count.done} of {count.total}"


def _at_most(count: Count) -> str:
    return "" if count.total is None else f"; the recipe asks for at most {count.total}"


def _now(standing: Standing) -> list[str]:
    """The stage and each piece of work in it, with the time left."""
    place = f" ({standing.number} of {standing.n_stages})" if standing.n_stages > 1 else ""
    stage = f"{standing.stage}{place}" if standing.stage else ""
    works = [_work(work, standing.stage) for work in standing.work]
    if not works:
        return [stage] if stage else []
    return [f"{stage}: {words}" if stage else words for words in works]


def _work(work: Work, stage: str) -> str:
    most = "at most " if work.is_ceiling else ""
    counted = f"{work.done} of {most}{work.total}" if work.total else str(work.done)
    task = "" if work.task == stage else f"{work.task}, "
    words = f"{task}{counted} {work.unit}".rstrip()
    words += f", {work.note}" if work.note else ""
    left = work.seconds_left
    return words if left is None else f"{words}, about {duration(left)} left"


def _shares(mixture: Mixture) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in mixture.as_dict().items() if share)

"""What runs that are not trained yet would cost, said before they are trained."""

from __future__ import annotations

from collections.abc import Sequence

from mixwise.report.numbers import count, duration
from mixwise.study.workbench import Workbench
from mixwise.training.job import Run, load_record


def untrained(jobs: Sequence[Run]) -> list[Run]:
    """The runs of which no finished checkpoint is there."""
    return [job for job in jobs if not _is_trained(job)]


def price_words(workspace: Workbench, jobs: Sequence[Run]) -> str:
    """Say how many runs and tokens some jobs are, and how long they should take.

    Args:
        workspace: The study; the time of a step is that of its slowest expert, and is left out
            where the user brings all experts.
        jobs: The runs, at least one.

    Returns:
        Such as ``2 training runs of 256 tokens each, 512 in all, about 2.0 s one after the other``.
    """
    n, each = len(jobs), max(job.n_tokens for job in jobs)
    words = f"{n} training run{'s' * (n != 1)} of {count(each)} tokens"
    if n > 1:
        words += f" each, {count(sum(job.n_tokens for job in jobs))} in all"
    step_seconds = _step_seconds(workspace)
    if step_seconds is None:
        return words
    seconds = step_seconds * sum(job.n_steps for job in jobs)
    return f"{words}, about {duration(seconds)}{' one after the other' * (n > 1)}"


def _is_trained(job: Run) -> bool:
    record = load_record(job.output)
    return record is not None and record.fingerprint == job.fingerprint


def _step_seconds(workspace: Workbench) -> float | None:
    """Of the slowest expert; None where none is made."""
    records = [load_record(job.output) for job in workspace.runs.expert_jobs()]
    return max((r.seconds / r.n_steps for r in records if r is not None), default=None)

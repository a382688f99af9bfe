"""What makes two training runs the same: the hash of all that a run's checkpoint depends on.

Method:
    Where and in how many processes a run is trained is left out, as its threads are: its batches
    are the same rows in the same order, and sums in another order differ in their last bits. Only
    batch norm takes what one process reads at once for its batch, so there the number counts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mixwise.mixture import Mixture
from mixwise.recipe import Training, hash_section
from mixwise.study.batch_norm import keeps_statistics

if TYPE_CHECKING:
    from mixwise.study.inputs import Inputs

NOT_IN_RESULT = {
    "seed",
    "device",
    "snapshots",
    "processes_per_run",
    "trajectory_checkpoints",
}


def run_fingerprint(
    inputs: Inputs,
    by_tokens: Mixture,
    *,
    seed: int,
    settings: Training,
    n_sequences: int,
    most_rows: Mapping[str, int],
) -> str:
    """Hash of a run's base, data, mixture, settings, length and seed.

    Args:
        inputs: Base and data; those of the domains with a share are opened.
        by_tokens: What the run reads, over all domains of its study.
        seed: Of the run.
        settings: How it trains.
        n_sequences: How long it is.
        most_rows: Sequences of a domain that it may read, where not all.
    """
    recipe, n_processes = inputs.recipe, settings.processes_per_run
    has_own_batches = n_processes > 1 and keeps_statistics(inputs)
    return hash_section(
        inputs.base.fingerprint,
        settings.model_dump_json(exclude=NOT_IN_RESULT),
        str(by_tokens),
        ",".join(by_tokens.domains),
        n_sequences,
        recipe.sequence_length,
        seed,
        *(inputs.corpus(name).key for name in by_tokens.support),
        *(f"{n} rows of {name}" for name, n in most_rows.items()),
        *(["documents apart"] if recipe.document_masking else []),
        *([f"heads of {inputs.heads.sizes}"] if inputs.heads.sizes else []),
        *([f"batch norm in {n_processes} processes"] if has_own_batches else []),
    )


def expert_fingerprint(run: str, trajectory: Sequence[int]) -> str:
    """Hash of an expert's run with the points of it that are kept.

    Args:
        run: Of the run alone.
        trajectory: Steps after which a checkpoint is kept, beside the last.
    """
    return hash_section(run, *trajectory)

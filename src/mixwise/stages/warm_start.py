"""Final runs that begin at the merged experts instead of the base.

Method:
    The merge of a mixture is kept in the study's folder in float32, and a run on that mixture
    trains it further. What a run is told by includes the content of what it begins at.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.copies import Copies
from mixwise.recipe import hash_section
from mixwise.stages.merge import merged_pool
from mixwise.study.session import Workspace
from mixwise.training.job import TrainingJob

MakeTrainingJob = Callable[[Mixture, int], TrainingJob]  # of a mixture and a seed


def warm_jobs(workspace: Workspace, mixtures: Sequence[Mixture]) -> MakeTrainingJob:
    """Runs of some mixtures, each from the merge of its own shares.

    Args:
        workspace: The study; its experts must be trained.
        mixtures: All that will be trained.

    Raises:
        ResourceError: If a merge cannot be written.
    """
    starts = {str(mixture): merged_start(workspace, mixture) for mixture in mixtures}
    return lambda mixture, seed: workspace.runs.job_from(starts[str(mixture)], mixture, seed)


def merged_start(workspace: Workspace, mixture: Mixture) -> Checkpoint:
    """The merge of a mixture, from the study's folder or written there.

    Args:
        workspace: The study.
        mixture: Shares of its domains.
    """
    from mixwise.models.module_layout import save_as_kept

    def write(folder: Path) -> None:
        save_as_kept(merged_pool(workspace, mixture, "float32").live.module, folder)

    made_from = hash_section(*(f"{k}={v}" for k, v in workspace.merges.provenance.items()))
    copies = Copies(
        workspace.study.folder / "merged",
        workspace.recipe.task_facts.auto_class,
        workspace.inputs.settings.trust_remote_code,
        workspace.hash_file,
    )
    form = hash_section(str(mixture), made_from)[:16]
    return copies.find_or_make(workspace.inputs.base, form, write)

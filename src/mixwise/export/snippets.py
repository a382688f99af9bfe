"""The texts of all exporters at once, made by the exporters themselves and written nowhere."""

from __future__ import annotations

from mixwise.errors import DataError, RecipeError
from mixwise.export.exporter import Delivery, Export
from mixwise.export.exporters import TRAINERS
from mixwise.export.from_study import make_handover
from mixwise.export.handover import Handover
from mixwise.export.shares import make_shares
from mixwise.export.trainer_exports import hand_over
from mixwise.export.trainers.trainer import Trainer
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace
from mixwise.study.snippets import Snippet, SnippetsFound
from mixwise.study.workbench import Workbench


def make_snippets(recommendation: Recommendation, workspace: Workbench) -> SnippetsFound:
    """What `mixwise export` would write, for the counts and for every trainer.

    Args:
        recommendation: The mixture.
        workspace: The opened study; trainers are handed over to where mixwise reads its data.
    """
    shares = Snippet(
        "shares",
        f"counts of {recommendation.horizons.unit} as JSON",
        _text(make_shares(recommendation, None)),
    )
    trainers: tuple[Snippet, ...] = ()
    if isinstance(workspace, Workspace) and not workspace.recipe.task_facts.has_labels:
        handover = make_handover(recommendation.by_tokens, recommendation.run, workspace)
        trainers = tuple(_snippet(trainer, handover, workspace) for trainer in TRAINERS)
    return SnippetsFound(recommendation.by_tokens, (*trainers, shares))


def _snippet(trainer: Trainer, handover: Handover, workspace: Workspace) -> Snippet:
    about = f"for {trainer.title}"
    file = (workspace.study.folder / trainer.file).absolute()
    try:
        made = hand_over(trainer, handover, workspace, Delivery(file))
    except (RecipeError, DataError) as error:
        return Snippet(trainer.name, about, "", refused=str(error))
    return Snippet(trainer.name, about, _text(made), n_beside=len(made.beside))


def _text(made: Export) -> str:
    return "".join(f"{line}\n" for line in made.lines)

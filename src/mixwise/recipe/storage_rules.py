"""What a recipe cannot ask for where a study's files travel through object storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwise.kinds import KINDS

if TYPE_CHECKING:
    from mixwise.recipe.recipe import Recipe


def storage_problems(recipe: Recipe) -> list[str]:
    """What stands against ``engine.storage``, a line each.

    Args:
        recipe: One whose names and sets are in order.
    """
    lines = [
        f"`evaluation.sets.{name}` is a {kind} set, which may read the recipe's folder, and that "
        "stays on this host"
        for name, kind in recipe.set_kinds.items()
        if KINDS.find(kind).needs_whole_model
    ]
    if recipe.tracking.to:
        lines.append(
            "`tracking.to` names tools, whose files of a run would stay on the host that trained it"
        )
    return [
        f"`engine.storage`: {line}: change it, or use a disk that all hosts share" for line in lines
    ]

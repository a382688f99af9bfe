"""What a recipe cannot ask for where domains have labels, and so heads, of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mixwise.errors import nearest, printable
from mixwise.kinds.labels import LabelKeys
from mixwise.tasks import TASKS

if TYPE_CHECKING:
    from mixwise.recipe.recipe import Recipe


def head_problems(recipe: Recipe) -> list[str]:
    """What stands against a recipe's heads, a line each."""
    named = {
        f"evaluation.sets.{name}.head": chosen.own.head
        for name, chosen in recipe.evaluation.sets.items()
        if isinstance(chosen.own, LabelKeys) and chosen.own.head is not None
    }
    if recipe.labels == "shared":
        return [
            f"`{key}` is for domains that have labels of their own: leave it out, or set `labels: "
            "per-domain`"
            for key in named
        ]
    problems = [
        f"`{key}`: `{printable(head, 80)}` is no domain, whose head could be read: "
        f"{nearest(head, recipe.domains)}"
        for key, head in named.items()
        if head not in recipe.domains
    ]
    if not recipe.task_facts.has_labels:
        with_labels = " or ".join(row.name for row in TASKS.values() if row.has_labels)
        problems.append(
            f"`labels`: per-domain is for tasks with labels: leave it out, or set `task` to "
            f"{with_labels}"
        )
    if recipe.proxy.answer not in ("auto", "merged"):
        problems.append(
            f"`proxy.answer`: {recipe.proxy.answer} cannot be with `labels: per-domain`, because "
            "the expert of one domain has not trained the heads of the others, so that what it "
            "predicts there means nothing: use merged, or leave it out"
        )
    return problems

"""Score: any mixture, by either answer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mixwise.mixture import Mixture
from mixwise.observation import Answer
from mixwise.search.problem import distinct
from mixwise.stages.workspace import Workspace


def score_mixtures(
    workspace: Workspace, texts: Sequence[str], answer: Answer
) -> list[dict[str, Any]]:
    """Score mixtures that are written as text.

    Args:
        workspace: The study.
        texts: Mixtures such as ``math=0.7,code=0.3``.
        answer: ``proxy`` merges the experts; ``reference`` trains, with as many seeds as the
            recipe's validation.

    Returns:
        One object per different mixture: mixture, answer, rule, seeds, objective, metrics.

    Raises:
        RecipeError: If a text is no mixture of the study's domains.
    """
    mixtures = distinct([Mixture.parse(text, workspace.recipe.domain_names) for text in texts])
    if answer == "proxy":
        observations = workspace.proxy.score(mixtures)
    else:
        seeds = workspace.reference_seeds(workspace.recipe.validation.seeds)
        observations = workspace.reference(seeds).score(mixtures)
    return [
        {"answer": o.answer, "rule": o.rule, "seeds": list(o.seeds)} | workspace.summary(o)
        for o in observations
    ]

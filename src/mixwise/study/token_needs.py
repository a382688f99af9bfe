"""Sources with too few tokens for a recipe: all that one change would mend, in one line."""

from __future__ import annotations

from collections.abc import Mapping

from mixwise.data.tokenising import CorpusFacts
from mixwise.recipe import Recipe


def unmet_token_needs(
    recipe: Recipe, facts: Mapping[str, CorpusFacts], *, expert_tokens: int
) -> list[str]:
    """What the sources lack, a line for each kind of shortage.

    Args:
        recipe: The recipe.
        facts: Counts of the domains and text evaluation sets that could be opened.
        expert_tokens: Tokens of one expert.
    """
    return [
        *_unfilled(recipe, facts),
        *_unlearned(recipe, facts),
        *_too_often(recipe, facts, expert_tokens),
    ]


def _unfilled(recipe: Recipe, facts: Mapping[str, CorpusFacts]) -> list[str]:
    """Sides that do not hold one whole sequence."""
    length = recipe.sequence_length
    short: list[tuple[int, str]] = []
    for name, counts in facts.items():
        is_domain = name in recipe.domains
        key = f"`{'domains' if is_domain else 'evaluation.sets'}.{name}`"
        sides = {"held-out": counts.n_heldout_tokens}
        if recipe.document_masking or counts.n_supervised_train_tokens is not None:
            sides = {}  # a document is a row of its own there
        if is_domain:
            sides["training"] = counts.n_train_tokens
        short += [(n, f"{key} ({n:,} {side})") for side, n in sides.items() if n < length]
    if not short:
        return []
    fits = min(short)[0]
    lower = f"lower it to {fits:,}, or " if fits > 1 else ""
    is_split = any("held-out" in text and "domains" in text for _, text in short)
    raise_it = " or raise `heldout.fraction`" if is_split else ""
    return [
        f"`sequence_length`: the tokens of {', '.join(text for _, text in short)} do not fill one "
        f"sequence of {length:,}: {lower}add documents{raise_it}"
    ]


def _unlearned(recipe: Recipe, facts: Mapping[str, CorpusFacts]) -> list[str]:
    """Domains that have none of the learned tokens that shares count."""
    if recipe.shares_by != "supervised_tokens":
        return []
    none = [n for n in recipe.domains if n in facts and not facts[n].n_learned_train_tokens]
    if not none:
        return []
    return [
        "`shares_by: supervised_tokens`: no training token of "
        f"{', '.join(f'`domains.{name}`' for name in none)} is learned, so that no share of them "
        "can be: use tokens, or set its `learn: all`"
    ]


def _too_often(recipe: Recipe, facts: Mapping[str, CorpusFacts], wanted: int) -> list[str]:
    """Domains whose own expert would read them more often than the cap allows."""
    most = recipe.search.max_repetition
    available = {
        name: facts[name].n_train_tokens
        for name, domain in recipe.domains.items()
        if domain.expert is None and name in facts
    }
    short = {name: n for name, n in available.items() if wanted > most * n}
    if not short:
        return []
    fits = int(most * min(short.values())) // recipe.batch_tokens * recipe.batch_tokens
    lower = f"set `experts.horizon_tokens` to {fits:,}, " if fits else "make batches smaller, "
    named = ", ".join(
        f"`{name}` ({wanted / n:.1f} times {n:,})" if n else f"`{name}` (no tokens)"
        for name, n in short.items()
    )
    return [
        f"`experts.horizon_tokens`: an expert reads {wanted:,} tokens, which is more than "
        f"`search.max_repetition` ({most:g}) allows for {named}: {lower}raise the limit, add "
        f"data, or bring an `expert` for {'each' if len(short) > 1 else 'it'}"
    ]

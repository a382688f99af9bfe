"""How often a text is read: by its expert, and by the final run at the share that is expected.

Notation:
    a: sequences of a domain.  n, m: sequences of the final run, and of a short one.
    λ: the domain's expected share, of the uniform mixture or the largest that is allowed.
    s: its share of the short run; both are by tokens.

Method:
    At λ the final run reads a domain r = λ n / a times. A text that is repeated teaches less, and a
    short run repeats it s m / a times only; so where r is more than 2 it is given s m / r of the
    sequences, which it then reads r times. More than there are it cannot be given.

Source:
    Subsampling to the repetition of the target: arXiv 2606.07597. Measured in ``docs/science.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from mixwise.mixture import Mixture

if TYPE_CHECKING:
    from mixwise.study.inputs import Inputs

_REPEATED = 2.0  # readings of a text up to which it teaches like new


def expected_shares(inputs: Inputs) -> dict[str, float]:
    """λ of every domain, by tokens; they need not add up to 1 where bounds are tight."""
    names, (_, upper) = inputs.recipe.domain_names, inputs.space.reach()
    even = {name: min(1 / len(names), most) for name, most in zip(names, upper, strict=True)}
    if inputs.recipe.shares_by == "tokens":
        return even
    total = sum(even.values())
    by_tokens = inputs.token_mixture(Mixture.proportional(even)).as_dict()
    return {name: share * total for name, share in by_tokens.items()}


def matched_rows(
    available: Mapping[str, int],
    expected: Mapping[str, float],
    shares: Mapping[str, float],
    *,
    final_sequences: int,
    short_sequences: int,
) -> dict[str, int]:
    """How many sequences a short run may read of each domain that the final run repeats.

    Args:
        available: a of each domain.
        expected: λ of each domain.
        shares: s of each domain.
        final_sequences: n.
        short_sequences: m.

    Returns:
        For the domains that it may not read whole, at least one sequence.

    Example:
        >>> shares = {"scarce": 1.0, "ample": 0.0}
        >>> even = {"scarce": 0.5, "ample": 0.5}
        >>> matched_rows(
        ...     {"scarce": 16, "ample": 900},
        ...     even,
        ...     shares,
        ...     final_sequences=128,
        ...     short_sequences=16,
        ... )
        {'scarce': 4}
    """
    found = {}
    for name, share in shares.items():
        repeated = expected[name] * final_sequences / max(available[name], 1)
        if share and repeated > _REPEATED:
            rows = max(round(share * short_sequences / repeated), 1)
            if rows < available[name]:
                found[name] = rows
    return found


def short_run_rows(inputs: Inputs, mixture: Mixture) -> dict[str, int]:
    """How many sequences a run of the experts' horizon may read of each domain; all of the others.

    Args:
        inputs: The recipe's inputs.
        mixture: What the run trains on, by tokens.
    """
    recipe, shares = inputs.recipe, mixture.as_dict()
    if not recipe.experts.match_repetition:
        return {}
    batch = recipe.training.batch_sequences
    return matched_rows(
        {n: inputs.corpus(n).train.n_rows(recipe.sequence_length) for n in mixture.support},
        expected_shares(inputs),
        {name: shares[name] for name in mixture.support},
        final_sequences=recipe.n_steps * batch,
        short_sequences=inputs.horizons.expert_steps * batch,
    )


def short_run_rows_of_all(inputs: Inputs) -> dict[str, int]:
    """How many sequences the expert of each domain may read of it, where not all.

    Args:
        inputs: The recipe's inputs.
    """
    names = inputs.recipe.domain_names
    singles = {name: inputs.token_mixture(Mixture.single(names, name)) for name in names}
    found = {name: short_run_rows(inputs, single) for name, single in singles.items()}
    return {name: rows[name] for name, rows in found.items() if name in rows}

"""Contracts that plugins must keep, as functions for the tests of whoever writes one.

    from mixwise.testing import check_search_method

    def test_my_method():
        check_search_method(my_method)

Each raises an AssertionError that says what is broken.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.objective import Metric, Objective, Scale, Term
from mixwise.observation import Observation
from mixwise.scorer import VALUES, Request, Scorer
from mixwise.scoring.table import TableRow, TableScorer
from mixwise.search.problem import SearchMethod, SearchProblem

if TYPE_CHECKING:
    from mixwise.merging.pool import ExpertPool
    from mixwise.merging.rule_table import NamedRule

_DOMAINS = ("a", "b", "c")
_BEST = (0.5, 0.3, 0.2)
_TOLERANCE = 0.1  # of an objective whose range is about 4


def check_scorer(scorer: Scorer, mixtures: Sequence[Mixture]) -> None:
    """Check that a scorer answers in order, for each mixture alone as for all, and always alike.

    Args:
        scorer: The scorer.
        mixtures: At least two different mixtures that it can score.
    """
    scored = scorer.score(mixtures)
    assert len(scored) == len(mixtures), "there must be one observation per mixture"
    for mixture, observation in zip(mixtures, scored, strict=True):
        assert observation.mixture == mixture, "observations must be in the order of the mixtures"
    names = [[m.metric for m in observation.measurements] for observation in scored]
    assert all(row == names[0] for row in names), "every observation must have the same metrics"
    [alone] = scorer.score(mixtures[-1:])
    _require_equal(alone, scored[-1], "a mixture must score alone what it scores among others")
    turned = scorer.score(mixtures[::-1])
    _require_equal(turned[0], scored[-1], "scores must not depend on the order of the mixtures")


def _require_equal(one: Observation, other: Observation, rule: str) -> None:
    for name, value in one.values.items():
        assert np.isclose(value, other.values[name], rtol=1e-6), f"{rule} (`{name}`)"


def check_search_method(method: SearchMethod) -> None:
    """Check a search method on a concave quadratic, in the whole simplex and within bounds.

    It must propose mixtures over the domains, recommend what it has scored, inside the space, keep
    to a budget, do the same for the same seed, and come near the maximum.

    Args:
        method: A row of the table of methods.
    """
    bounded = MixtureSpace(_DOMAINS, (0.0, 0.2, 0.0), (0.6, 1.0, 1.0))
    for space in (MixtureSpace.whole(_DOMAINS), bounded):
        first, again = (_Bowl(), _Bowl())
        found = method.search(_problem(first, space, None))
        assert space.contains(_mixture(found.best)), "the recommended mixture must be in the space"
        assert found.best in found.scored, "what is recommended must have been scored"
        scored = {str(observation.mixture) for observation in found.scored}
        assert scored == first.asked, "the result must hold all that was scored, and nothing else"
        same = method.search(_problem(again, space, None))
        assert str(same.best.mixture) == str(found.best.mixture), "a seed must decide everything"
        if not method.is_of_subsets:
            behind = _value(np.array(_BEST)) - _value(_mixture(found.best).array)
            assert behind <= _TOLERANCE, (
                f"the maximum of a quadratic must be nearly found, but is missed by {behind:.3f}"
            )
    n = len(found.scored)
    counted = _Bowl()
    method.search(_problem(counted, bounded, n))
    assert len(counted.asked) <= n, f"a budget of {n} must be kept"


class _Bowl:
    """Scores by a concave quadratic, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: set[str] = set()

    def score(
        self, mixtures: Sequence[Mixture], request: Request = VALUES
    ) -> tuple[Observation, ...]:
        self.asked |= {str(mixture) for mixture in mixtures}
        unique = {str(m): TableRow(m, {"s/loss": -_value(m.array)}) for m in mixtures}
        return TableScorer(unique.values(), answer="proxy").score(mixtures)


def _value(shares: np.ndarray) -> float:
    return -4 * float(((shares - np.array(_BEST)) ** 2).sum())


def _problem(scorer: Scorer, space: MixtureSpace, budget: int | None) -> SearchProblem:
    objective = Objective((Term(Metric("s", "loss", "min"), 1.0),))
    scale = Scale({"s/loss": 0.0}, {"s/loss": 1.0})
    return SearchProblem(scorer, space, objective, scale, budget, seed=0)


def _mixture(observation: Observation) -> Mixture:
    assert observation.mixture is not None, "every observation must have a mixture"
    return observation.mixture


def check_merge_rule(rule: NamedRule, *, keeps_corners: bool = True) -> None:
    """Check a merge rule that needs no further runs, on a tiny model with three experts.

    Merges must be finite, the same twice, and at a corner the expert itself.

    Args:
        rule: A row of the table of rules.
        keeps_corners: Whether the merge of one domain alone must be its expert, as is right but for
            rules that prune.
    """
    with tempfile.TemporaryDirectory() as folder:
        pool, experts = _tiny_pool(Path(folder))
        bound = rule.bind(pool)
        uniform = _merged(pool, Mixture.uniform(_DOMAINS), bound)
        assert all(np.isfinite(tensor).all() for tensor in uniform), "merges must be finite"
        corner = _merged(pool, Mixture.single(_DOMAINS, "b"), bound)
        again = _merged(pool, Mixture.uniform(_DOMAINS), bound)
        for one, other in zip(uniform, again, strict=True):
            assert np.array_equal(one, other), "the same mixture must merge to the same numbers"
        if keeps_corners:
            for merged, expert in zip(corner, experts["b"], strict=True):
                assert np.allclose(merged, expert, atol=1e-6), "share 1 must give the expert"


def _merged(pool: ExpertPool, mixture: Mixture, rule: object) -> list[np.ndarray]:
    pool.merge(mixture, rule)  # type: ignore[arg-type]
    return [tensor.float().numpy().copy() for tensor in pool.live.tensors.values()]


def _tiny_pool(folder: Path) -> tuple[ExpertPool, dict[str, list[np.ndarray]]]:
    """A base of 2,000 parameters, and three experts that differ from it in every tensor."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from mixwise.merging.pool import ExpertPool
    from mixwise.models.checkpoint import open_checkpoint
    from mixwise.models.live_model import LiveModel

    torch.manual_seed(0)
    sizes = {"vocab_size": 16, "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "max_position_embeddings": 16}
    model = LlamaForCausalLM(LlamaConfig(**sizes, **heads, tie_word_embeddings=False))
    model.save_pretrained(folder / "base")
    experts, values = {}, {}
    base = {name: parameter.detach().clone() for name, parameter in model.named_parameters()}
    live = LiveModel.load(open_checkpoint(folder / "base"))
    for name in _DOMAINS:
        with torch.no_grad():
            for key, parameter in model.named_parameters():
                parameter.copy_(base[key] + 0.01 * torch.randn_like(parameter))
        model.save_pretrained(folder / name)
        experts[name] = open_checkpoint(folder / name)
        state = model.state_dict()
        values[name] = [state[key].float().numpy().copy() for key in live.tensors]
    return ExpertPool(live, experts), values

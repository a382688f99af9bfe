from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import pytest
from tests.evaluation.likelihood.models import CONFIGS, VOCABULARY
from tests.evaluation.test_suite import choice_set
from tests.merging.test_several import LARGEST, NAMES, SQUARED, folders_of, open_pool

from mixwise.data.heldout import HeldoutRows
from mixwise.errors import EvaluationError, ResourceError
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import WHOLE, EvaluationSuite, PreparedSuite
from mixwise.merging.rules.rule import LINEAR, LinearRule, MergeRule
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.skeleton import Skeleton
from mixwise.scorer import Part
from mixwise.scoring.worker import streaming
from mixwise.scoring.worker.streaming import candidates_within, evaluate_streamed

__all__ = ["folders_of"]  # a fixture

MIXTURES = tuple(
    Mixture(NAMES, shares)
    for shares in ((0.2, 0.5, 0.3), (1.0, 0.0, 0.0), (0.0, 0.4, 0.6), (0.3, 0.3, 0.4))
)
PLENTY = 1 << 30


def text_set(n: int = 5) -> TextSet:
    tokens = np.random.default_rng(0).integers(0, VOCABULARY, (n, 12))
    return TextSet("text", HeldoutRows(tokens, np.ones_like(tokens)))


SUITE = EvaluationSuite((text_set(), choice_set()), batch_sequences=4)


def score(
    folders: dict[str, Path], rule: MergeRule, budget_bytes: int, part: Part = WHOLE
) -> list[list[float]]:
    skeleton = Skeleton(open_checkpoint(folders["base"]))
    pool = open_pool(skeleton.live, folders)
    measured = evaluate_streamed(
        skeleton,
        pool,
        rule,
        MIXTURES,
        PreparedSuite(SUITE, "cpu"),
        budget_bytes=budget_bytes,
        part=part,
    )
    return [[m.value for m in measurements] for measurements in measured]


def score_plainly(
    folders: dict[str, Path], rule: MergeRule, part: Part = WHOLE
) -> list[list[float]]:
    """One whole merged model after the other."""
    live = LiveModel.load(open_checkpoint(folders["base"]))
    pool, suite = open_pool(live, folders), PreparedSuite(SUITE, "cpu")
    values = []
    for mixture in MIXTURES:
        pool.merge(mixture, rule)
        values.append([m.value for m in suite.evaluate(live.module, part)])
    return values


@pytest.mark.parametrize("kind", [kind for kind in CONFIGS if kind != "mamba"])
def test_equals_the_plain_path(kind: str, folders_of: Callable[[str], dict[str, Path]]) -> None:
    folders = folders_of(kind)
    streamed, plain = score(folders, LINEAR, PLENTY), score_plainly(folders, LINEAR)
    np.testing.assert_allclose(streamed, plain, atol=1e-5)
    assert np.ptp(plain, axis=0)[0] > 0.01  # candidates differ by far more


@pytest.mark.parametrize("rule", [SQUARED, LARGEST], ids=lambda rule: rule.name)
def test_under_rules_of_both_kinds(
    rule: MergeRule, folders_of: Callable[[str], dict[str, Path]]
) -> None:
    folders = folders_of("llama")
    np.testing.assert_allclose(
        score(folders, rule, PLENTY), score_plainly(folders, rule), atol=1e-5
    )


def test_on_a_part_of_the_examples(folders_of: Callable[[str], dict[str, Path]]) -> None:
    folders, part = folders_of("llama"), Part(1, 2, 3)
    np.testing.assert_allclose(
        score(folders, LINEAR, PLENTY, part), score_plainly(folders, LINEAR, part), atol=1e-5
    )


def test_few_at_a_time_are_the_same(folders_of: Callable[[str], dict[str, Path]]) -> None:
    folders = folders_of("llama-tied")
    least = least_budget(folders, 3)
    groups: list[int] = []

    def stream(*arguments: object) -> list[list[np.ndarray]]:
        groups.append(len(arguments[3]))  # type: ignore[arg-type]
        return original(*arguments)  # type: ignore[arg-type]

    original = streaming._stream
    with patch.object(streaming, "_stream", stream):
        few = score(folders, LINEAR, least)
    assert groups == [3, 1]
    np.testing.assert_allclose(few, score(folders, LINEAR, PLENTY), atol=1e-6)


def least_budget(folders: dict[str, Path], n_candidates: int) -> int:
    """The smallest budget that lets so many candidates work together, by trying."""
    skeleton = Skeleton(open_checkpoint(folders["base"]))
    pool, suite = open_pool(skeleton.live, folders), PreparedSuite(SUITE, "cpu")
    batches = [batch for chosen in SUITE.sets for batch in suite.batches(chosen)]
    low, high = 0, PLENTY
    while high - low > 1:
        middle = (low + high) // 2
        try:
            enough = candidates_within(middle, skeleton, pool, LINEAR, batches) >= n_candidates
        except ResourceError:
            enough = False
        low, high = (low, middle) if enough else (middle, high)
    return high


def test_budget_by_hand(folders_of: Callable[[str], dict[str, Path]]) -> None:
    """Embeddings tied and 3 layers of width 16; one batch of 4 and one of 1 sequence of 12."""
    skeleton = Skeleton(open_checkpoint(folders_of("llama-tied")["base"]))
    pool = open_pool(skeleton.live, folders_of("llama-tied"))
    batches = PreparedSuite(EvaluationSuite((text_set(),), 4), "cpu").batches(text_set())
    outer = (50 * 16 + 16) * 4
    layer = (2 * 16 * 16 + 2 * 8 * 16 + 3 * 32 * 16 + 2 * 16) * 4
    hidden = 5 * 12 * 16 * 4
    work = 4 * 12 * 32 * 4 * 4 + 4 * 11 * 50 * 4 * 2
    shared = outer + work + 32 * 1024**2
    for n in (1, 2, 7):
        budget = shared + n * (layer + hidden)
        assert candidates_within(budget, skeleton, pool, LINEAR, batches) == n
        if n > 1:
            assert candidates_within(budget - 1, skeleton, pool, LINEAR, batches) == n - 1
    least = shared + layer + hidden
    with pytest.raises(ResourceError, match=f"takes {least:,} bytes of memory"):
        candidates_within(least - 1, skeleton, pool, LINEAR, batches)


def test_a_merge_that_is_not_finite_names_its_mixture(
    folders_of: Callable[[str], dict[str, Path]],
) -> None:
    broken = LinearRule("broken", "", coefficients=lambda shares: shares * float("inf"))
    with pytest.raises(EvaluationError, match=r"merge of `a=0\.2,b=0\.5,c=0\.3`: `text/loss`"):
        score(folders_of("llama"), broken, PLENTY)

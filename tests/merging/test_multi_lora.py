from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.tiny_models import KINDS, VOCABULARY, save_adapter, save_base

from mixwise.errors import CheckpointError
from mixwise.merging.multi_lora import UnmergedAdapters, can_serve, serving_cost
from mixwise.merging.task_vectors.adapters import LoraExpert, write_adapters
from mixwise.models.live_model import LiveModel

SHARES = torch.tensor([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-0.4, 2.0, 0.1]])


@pytest.fixture(scope="module", params=KINDS)
def parts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Parts:
    """Adapters of ranks 1, 2 and 3, one of which leaves some weights alone."""
    folder = tmp_path_factory.mktemp("unmerged")
    base = save_base(request.param, folder / "base")
    some = ["c_attn", "c_fc"] if request.param == "gpt2" else ["q_proj", "down_proj"]
    some += ["lm_head"] if request.param in ("llama untied", "qwen2") else []
    adapters = [
        save_adapter(base, folder / "a", 0),
        save_adapter(base, folder / "b", 1, targets=some),
        save_adapter(base, folder / "c", 2),
    ]
    live = LiveModel.load(base)
    return Parts(live, [LoraExpert(live, adapter) for adapter in adapters])


@dataclass(frozen=True, slots=True, eq=False)
class Parts:
    """A live base and LoRA experts of it."""

    live: LiveModel
    experts: Sequence[LoraExpert]

    def answer(self, ids: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = self.live.module(input_ids=ids, use_cache=False).logits
        return logits

    def merged(self, ids: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        """The slow, obvious way: one merge and one forward pass for each candidate."""
        answers: list[torch.Tensor] = []
        for k, part in enumerate(ids.chunk(len(shares))):
            write_adapters(self.live, self.experts, shares[k].tolist())
            answers.append(self.answer(part))
        self.live.write_checkpoint(self.live.base)
        return torch.cat(answers)

    def unmerged(self, ids: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
        with UnmergedAdapters(self.live, self.experts).serving(shares):
            return self.answer(ids)


def random_ids(n_rows: int, n_tokens: int, seed: int = 0) -> torch.Tensor:
    return torch.randint(
        VOCABULARY, (n_rows, n_tokens), generator=torch.Generator().manual_seed(seed)
    )


@pytest.mark.parametrize("n_tokens", [3, 60])  # served by factors; by built weights
def test_every_candidate_gets_the_answers_of_its_merge(parts: Parts, n_tokens: int) -> None:
    ids = random_ids(8, n_tokens)
    expected, found = parts.merged(ids, SHARES), parts.unmerged(ids, SHARES)
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()
    base = parts.answer(ids[4:6])  # the third candidate uses no expert
    assert torch.allclose(found[4:6], base, atol=1e-5)


def test_both_ways_are_taken() -> None:
    few, many = (serving_cost(t, 4, 3, 6, (12, 22)) for t in (24, 2400))
    assert few == 24 * 6 * (12 + 22)
    assert many == 12 * 22 * (6 + 3 * 4 * 3)


@settings(
    max_examples=25,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    shares=st.lists(
        st.lists(st.sampled_from([0.0, 1.0, 0.37, -0.5]), min_size=3, max_size=3),
        min_size=1,
        max_size=4,
    ),
    n_rows=st.integers(1, 3),
    n_tokens=st.integers(1, 40),
    seed=st.integers(0, 9),
)
def test_unmerged_equals_merged(
    parts: Parts, shares: list[list[float]], n_rows: int, n_tokens: int, seed: int
) -> None:
    weights = torch.tensor(shares)
    ids = random_ids(n_rows * len(shares), n_tokens, seed)
    expected = parts.merged(ids, weights)
    assert (parts.unmerged(ids, weights) - expected).abs().max() < 1e-5 * expected.abs().max()


def test_wrong_order_of_the_shares_is_seen(parts: Parts) -> None:
    ids = random_ids(4, 10)
    expected = parts.merged(ids, SHARES)
    for wrong in (SHARES.flip(0), SHARES.flip(1)):
        assert (parts.unmerged(ids, wrong) - expected).abs().max() > 1e-2


def test_built_weights_fit_the_scratch_memory(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mixwise.merging.multi_lora._SCRATCH_BYTES", 1)  # one candidate at a time
    ids = random_ids(8, 60)
    expected = parts.merged(ids, SHARES)
    assert torch.allclose(parts.unmerged(ids, SHARES), expected, atol=1e-4)


def test_a_coarser_live_model_is_served_by_factors(
    parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("built weights are rounded to the live dtype")

    monkeypatch.setattr("mixwise.merging.multi_lora._from_built", refuse)
    live = LiveModel.load(parts.live.base, precision="bfloat16")
    ids = random_ids(8, 60)
    found = Parts(live, parts.experts).unmerged(ids, SHARES)
    with pytest.raises(AssertionError, match="built weights are rounded"):
        parts.unmerged(ids, SHARES)
    assert found.dtype == torch.bfloat16


def test_the_module_is_restored_whatever_happens(parts: Parts) -> None:
    ids = random_ids(4, 5)
    before, own = parts.answer(ids), forwards(parts.live.module)
    adapters = UnmergedAdapters(parts.live, parts.experts)
    with adapters.serving(SHARES):
        assert forwards(parts.live.module) != own
    with pytest.raises(ValueError, match="broken off"):
        break_off(adapters.serving(SHARES))
    assert forwards(parts.live.module) == own
    assert torch.equal(parts.answer(ids), before)


def test_a_forward_of_the_modules_own_is_kept(parts: Parts) -> None:
    module = parts.live.module.get_submodule(
        next(iter(parts.experts[0].factors)).removesuffix(".weight")
    )
    original = module.forward
    module.forward = lambda x: original(x)  # as accelerate's hooks do
    own = module.forward
    try:
        with UnmergedAdapters(parts.live, parts.experts).serving(SHARES):
            assert module.forward is not own
        assert module.forward is own
    finally:
        del module.forward


def test_tracing_gives_the_slopes_of_serving(parts: Parts) -> None:
    ids, shares = random_ids(4, 7), SHARES[:1].expand(4, -1)
    adapters = UnmergedAdapters(parts.live, parts.experts)
    for parameter in parts.live.module.parameters():
        parameter.requires_grad_(False)
    slopes = []
    for start in (None, shares[0].tolist()):
        write_adapters(parts.live, parts.experts, start or [0.0, 0.0, 0.0])
        leaf = shares.clone().requires_grad_()
        context = adapters.serving(leaf) if start is None else adapters.tracing(leaf)
        with context:
            logits = parts.live.module(input_ids=ids, use_cache=False).logits
            scores = logits.logsumexp(dim=-1).sum()
            slopes += torch.autograd.grad(scores, leaf)
    parts.live.write_checkpoint(parts.live.base)
    assert torch.allclose(*slopes, rtol=1e-4, atol=1e-4 * float(slopes[0].abs().max()))
    assert slopes[0].std(dim=0).min() > 1e-3  # each row has its own


def test_adapters_of_what_is_no_linear_layer_are_refused(tmp_path: Path) -> None:
    base = save_base("llama untied", tmp_path / "base")
    live = LiveModel.load(base)
    embedding = "model.embed_tokens.weight"
    expert = LoraExpert(live, save_adapter(base, tmp_path / "a", 0))
    assert can_serve(live, [expert])
    expert.factors[embedding] = expert.factors.pop(next(iter(expert.factors)))
    assert not can_serve(live, [expert])
    with pytest.raises(CheckpointError, match=r"`model.embed_tokens.weight` belongs to Embedding"):
        UnmergedAdapters(live, [expert])


def forwards(module: torch.nn.Module) -> list[object]:
    return [vars(child).get("forward") for child in module.modules()]


def break_off(context: AbstractContextManager[object]) -> None:
    with context:
        raise ValueError("broken off")

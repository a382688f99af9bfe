from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file
from tests.families import (
    DOMAINS,
    FAMILIES,
    Family,
    Tensors,
    edit,
    merged_slowly,
    relative_error,
)
from tests.merging.test_running_sum import Counted
from transformers import AutoModelForCausalLM

from mixwise.errors import CheckpointError
from mixwise.merging.pool import ExpertPool, write_checkpoint
from mixwise.merging.rules.rule import LINEAR, LinearRule, TensorRule
from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel

NAMES = ("a", "b", "c")
PRECISIONS: tuple[StorePrecision | None, ...] = (None, "float32", "bfloat16", "int8")


def make_expert(base: Path, folder: Path, seed: int) -> Path:
    shutil.copytree(base, folder)
    generator = torch.Generator().manual_seed(seed)
    tensors = load_file(base / "model.safetensors")
    moved = {k: t + 0.02 * torch.randn(t.shape, generator=generator) for k, t in tensors.items()}
    save_file(moved, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


@pytest.fixture(scope="module")
def folders(pico_base: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("experts")
    return {name: make_expert(pico_base, root / name, seed) for seed, name in enumerate(NAMES)}


@pytest.fixture
def live(pico_base: Path) -> LiveModel:
    return LiveModel.load(open_checkpoint(pico_base))


def pool_of(live: LiveModel, folders: dict[str, Path]) -> ExpertPool:
    return ExpertPool(live, {name: open_checkpoint(path) for name, path in folders.items()})


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=3, max_size=3).filter(any))
def test_merge_equals_a_plain_script(
    pico_base: Path, folders: dict[str, Path], parts: list[int]
) -> None:
    shares = [part / sum(parts) for part in parts]
    live = LiveModel.load(open_checkpoint(pico_base))
    pool_of(live, folders).merge(Mixture(NAMES, tuple(shares)), LINEAR)
    states = [AutoModelForCausalLM.from_pretrained(folders[n]).state_dict() for n in NAMES]
    for name, tensor in live.module.state_dict().items():
        expected = sum(share * state[name] for share, state in zip(shares, states, strict=True))
        assert torch.allclose(tensor, expected, atol=1e-6), name


def test_one_domain_gives_that_expert_bit_for_bit(
    live: LiveModel, folders: dict[str, Path]
) -> None:
    pool = pool_of(live, folders)
    for name in NAMES:
        pool.merge(Mixture.single(NAMES, name), LINEAR)
        for key, tensor in load_file(folders[name] / "model.safetensors").items():
            assert torch.equal(live.tensors[live.aliases[key]], tensor)


def test_merges_leave_no_trace_in_later_ones(live: LiveModel, folders: dict[str, Path]) -> None:
    pool = pool_of(live, folders)
    first = Mixture(NAMES, (0.2, 0.3, 0.5))
    pool.merge(first, LINEAR)
    before = {name: tensor.clone() for name, tensor in live.tensors.items()}
    pool.merge(Mixture.single(NAMES, "b"), LINEAR)
    pool.merge(first, LINEAR)
    assert all(torch.equal(live.tensors[name], tensor) for name, tensor in before.items())


def test_writing_the_base_restores_it(
    live: LiveModel, folders: dict[str, Path], pico_base: Path
) -> None:
    pool_of(live, folders).merge(Mixture.uniform(NAMES), LINEAR)
    write_checkpoint(live, live.base)
    for key, tensor in load_file(pico_base / "model.safetensors").items():
        assert torch.equal(live.tensors[live.aliases[key]], tensor)


def test_tied_tensors_are_one(live: LiveModel) -> None:
    assert live.aliases["lm_head.weight"] == live.aliases["model.embed_tokens.weight"]
    assert len(live.tensors) < len(live.aliases)


def test_bfloat16_live_model_accumulates_in_float32(
    pico_base: Path, folders: dict[str, Path]
) -> None:
    live = LiveModel.load(open_checkpoint(pico_base), precision="bfloat16")
    pool_of(live, folders).merge(Mixture.uniform(NAMES), LINEAR)
    exact = LiveModel.load(open_checkpoint(pico_base))
    pool_of(exact, folders).merge(Mixture.uniform(NAMES), LINEAR)
    for name, tensor in live.tensors.items():
        assert torch.equal(tensor, exact.tensors[name].bfloat16())


def test_sharded_checkpoints_are_opened(
    live: LiveModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(folders["a"])
    model.save_pretrained(tmp_path / "sharded", max_shard_size="20KB")
    assert (tmp_path / "sharded" / "model.safetensors.index.json").is_file()
    checkpoint = open_checkpoint(tmp_path / "sharded")
    write_checkpoint(live, checkpoint)
    for key, tensor in load_file(folders["a"] / "model.safetensors").items():
        assert torch.equal(live.tensors[live.aliases[key]], tensor)


def drop(tensors: Tensors) -> None:
    del tensors["model.norm.weight"]


def add(tensors: Tensors) -> None:
    tensors["model.extra.weight"] = torch.zeros(2)


def reshape(tensors: Tensors) -> None:
    tensors["model.embed_tokens.weight"] = torch.zeros(321, 16)


def halve(tensors: Tensors) -> None:
    for name in list(tensors):
        tensors[name] = tensors[name].half()


def quantise(tensors: Tensors) -> None:
    for name in list(tensors):
        tensors[name] = (127 * tensors[name]).to(torch.int8)


def untie(tensors: Tensors) -> None:
    tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"] + 1


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (drop, r"tensor `model.norm.weight` is missing"),
        (add, r"tensor `model.extra.weight` is not part of the base"),
        (
            reshape,
            r"tensor `model.embed_tokens.weight` must have shape \(320, 16\), as in the base, but",
        ),
        (quantise, r"is stored as I8, and mixwise merges plain floating-point numbers only"),
        (untie, r"tensors .*lm_head.weight.* are tied in the base but differ"),
    ],
)
def test_expert_that_does_not_fit_is_refused_by_name(
    change: Callable[[Tensors], None],
    text: str,
    live: LiveModel,
    folders: dict[str, Path],
    tmp_path: Path,
) -> None:
    odd = Path(shutil.copytree(folders["a"], tmp_path / "odd"))
    edit(odd, change)
    with pytest.raises(CheckpointError, match=text):
        pool_of(live, folders | {"a": odd})


def test_other_vocabulary_is_refused(
    live: LiveModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(folders["a"], tmp_path / "odd"))
    content = json.loads((odd / "tokenizer.json").read_text())
    vocabulary = content["model"]["vocab"]
    left, right = list(vocabulary)[300:302]
    vocabulary[left], vocabulary[right] = vocabulary[right], vocabulary[left]
    (odd / "tokenizer.json").write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=r"token .* \(300\) differs"):
        pool_of(live, folders | {"b": odd})


def test_precise_experts_of_a_coarse_base_are_accepted(
    pico_base: Path, folders: dict[str, Path], tmp_path: Path
) -> None:
    coarse = Path(shutil.copytree(pico_base, tmp_path / "coarse"))
    edit(coarse, halve)
    pool_of(LiveModel.load(open_checkpoint(coarse)), folders)


def test_experts_of_any_precision_are_merged_in_float32(
    live: LiveModel, folders: dict[str, Path], tmp_path: Path
) -> None:
    odd = Path(shutil.copytree(folders["b"], tmp_path / "odd"))
    edit(odd, halve)
    pool = pool_of(live, folders | {"b": odd})
    halved = load_file(odd / "model.safetensors")
    pool.merge(Mixture.single(pool.domains, "b"), LINEAR)
    for name, tensor in halved.items():
        assert torch.equal(live.tensors[live.aliases[name]], tensor.float())
    shares = {"a": 0.5, "b": 0.2, "c": 0.3}
    pool.merge(Mixture.proportional(shares), LINEAR)
    others = {name: load_file(folders[name] / "model.safetensors") for name in "ac"} | {"b": halved}
    for name in halved:
        truth = sum(share * others[d][name].double() for d, share in shares.items())
        got = live.tensors[live.aliases[name]].double()
        assert torch.allclose(got, truth, rtol=1e-6, atol=1e-7)


def shares_of(parts: list[int]) -> tuple[float, ...]:
    return tuple(part / sum(parts) for part in parts)


parts_of_domains = st.lists(st.sampled_from([0, 0, 1, 3, 7]), min_size=1, max_size=6).filter(any)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_fast_merges_are_the_slow_ones(
    name: str,
    precision: StorePrecision | None,
    families: dict[str, Family],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    family = families[name]
    live = family.live()
    folder = tmp_path_factory.mktemp("store") if precision else None
    pools = {
        n: family.pool(live, n, folder=folder, precision=precision or "float32")
        for n in range(1, len(DOMAINS) + 1)
    }

    @settings(max_examples=15, deadline=None)
    @given(parts_of_domains)
    def check(parts: list[int]) -> None:
        pool, shares = pools[len(parts)], shares_of(parts)
        pool.merge(Mixture(DOMAINS[: len(parts)], shares), LINEAR)
        truth = merged_slowly(live, pool, list(shares))
        assert relative_error(live.tensors, truth) < 1e-6 + stored_error(pool, truth, live)

    check()


def stored_error(pool: ExpertPool, truth: Tensors, live: LiveModel) -> float:
    """What the stated error of the store allows, relative to the merged model."""
    worst = max((vector.relative_error for vector in pool.stored), default=0.0)
    base = {name: live.base_tensor(name).double() for name in truth}
    moved = sum(float((truth[name] - base[name]).square().sum()) for name in truth)
    return 3 * worst * (moved / sum(float(t.square().sum()) for t in truth.values())) ** 0.5


@example(shapes=[[0]], parts=[1], precision="int8", seed=0)  # no element at all
@settings(max_examples=20, deadline=None)
@given(
    shapes=st.lists(
        st.lists(st.integers(0, 40), max_size=3) | st.just([300_001]), min_size=1, max_size=4
    ),
    parts=parts_of_domains,
    precision=st.sampled_from(PRECISIONS),
    seed=st.integers(0, 9),
)
def test_models_of_any_shape_are_merged(
    shapes: list[list[int]],
    parts: list[int],
    precision: StorePrecision | None,
    seed: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    root = tmp_path_factory.mktemp("odd")
    generator = torch.Generator().manual_seed(seed)

    def save(name: str) -> Checkpoint:
        (root / name).mkdir()
        tensors = {f"w{k}": torch.randn(s, generator=generator) for k, s in enumerate(shapes)}
        tensors["steps"] = torch.tensor(len(name))
        save_file(tensors, root / name / "model.safetensors")
        return open_checkpoint(root / name)

    module = torch.nn.Module()
    for k, shape in enumerate(shapes):
        module.register_buffer(f"w{k}", torch.zeros(shape))
    module.register_buffer("steps", torch.tensor(0))
    live = LiveModel(module, save("base"))
    pool = ExpertPool(
        live,
        {name: save(name) for name in DOMAINS[: len(parts)]},
        folder=root / "store" if precision else None,
        precision=precision or "float32",
    )
    pool.merge(Mixture(pool.domains, shares_of(parts)), LINEAR)
    is_corner = sum(part > 0 for part in parts) == 1
    assert int(live.tensors["steps"]) == (1 if is_corner else 4)  # a counter is not merged
    for name in sorted(live.tensors.keys() - {"steps"}):
        truth = live.base_tensor(name).double()
        for domain, share in zip(pool.domains, shares_of(parts), strict=True):
            expert = pool.experts[domain].load_tensor(name)
            truth = truth + share * (expert - live.base_tensor(name)).double()
        allowed = 2e-6 if precision in (None, "float32") else 0.05
        assert torch.allclose(live.tensors[name].double(), truth, atol=allowed)


squared = LinearRule("squared", "made up", coefficients=lambda shares: shares.square() * 1.5)
largest = TensorRule(
    "largest",
    "made up",
    combine=lambda name, deltas, shares: (
        shares.max() * torch.stack([d * s for d, s in zip(deltas, shares, strict=True)]).amax(0)
    ),
)


@pytest.mark.parametrize("precision", [None, "float32"])
def test_made_up_rules_of_both_kinds(
    precision: StorePrecision | None, families: dict[str, Family], tmp_path: Path
) -> None:
    family = families["gpt2"]
    live = family.live()
    pool = family.pool(live, 3, folder=tmp_path if precision else None)
    shares = (0.5, 0.3, 0.2)
    pool.merge(Mixture(NAMES, shares), squared)
    truth = merged_slowly(live, pool, [1.5 * share**2 for share in shares])
    assert relative_error(live.tensors, truth) < 1e-6
    pool.merge(Mixture(NAMES, shares), largest)
    corners = [
        merged_slowly(live, pool, [share if k == i else 0.0 for k in range(3)])
        for i, share in enumerate(shares)
    ]
    for name, tensor in live.tensors.items():
        base = live.base_tensor(name).double()
        highest = torch.stack([corner[name] - base for corner in corners]).amax(0)
        assert torch.allclose(tensor.double(), base + 0.5 * highest, atol=1e-6)


def test_merging_reads_the_domains_by_name(families: dict[str, Family]) -> None:
    family = families["llama"]
    live = family.live()
    pool = family.pool(live, 3)
    pool.merge(Mixture(("c", "a", "b"), (0.6, 0.3, 0.1)), LINEAR)
    assert relative_error(live.tensors, merged_slowly(live, pool, [0.3, 0.1, 0.6])) < 1e-6
    assert relative_error(live.tensors, merged_slowly(live, pool, [0.6, 0.3, 0.1])) > 1e-4


@pytest.mark.parametrize("precision", ["float32", "int8"])
def test_corner_of_a_stored_pool_is_that_expert_bit_for_bit(
    precision: StorePrecision, families: dict[str, Family], tmp_path: Path
) -> None:
    family = families["untied"]
    live = family.live()
    pool = family.pool(live, 3, folder=tmp_path, precision=precision)
    pool.merge(Mixture.single(NAMES, "b"), LINEAR)
    for key, tensor in load_file(family.experts["b"] / "model.safetensors").items():
        assert torch.equal(live.tensors[live.aliases[key]], tensor)


def test_pool_tells_what_it_stores(families: dict[str, Family], tmp_path: Path) -> None:
    family = families["llama"]
    pool = family.pool(family.live(), 3, folder=tmp_path, precision="int8")
    assert [vector.domain for vector in pool.stored] == list(NAMES)
    assert {vector.precision for vector in pool.stored} == {"int8"}
    assert all(0 < vector.relative_error < 0.012 for vector in pool.stored)
    assert [v.n_bytes for v in pool.stored] == [
        p.stat().st_size for p in sorted(tmp_path.iterdir())
    ]
    assert family.pool(family.live(), 3).stored == ()


def test_subsets_in_gray_code_order_do_not_drift(
    families: dict[str, Family], tmp_path: Path
) -> None:
    family = families["llama"]
    live = family.live()
    pool = family.pool(live, 6, folder=tmp_path, precision="bfloat16")
    for number in range(1, 64):
        gray = number ^ number >> 1
        shares = [float(gray >> k & 1) / gray.bit_count() for k in range(6)]
        pool.merge(Mixture(DOMAINS, tuple(shares)), LINEAR)
        truth = {
            name: live.base_tensor(name)
            + sum(s * pool.task_vectors[d].load(name) for d, s in zip(DOMAINS, shares, strict=True))
            for name in live.tensors
        }
        if gray.bit_count() > 1:
            assert relative_error(live.tensors, truth) < 1e-6


def test_neighbouring_subsets_touch_one_expert_whatever_their_size(
    families: dict[str, Family],
) -> None:
    pool = families["llama"].pool(families["llama"].live())
    counted = {domain: Counted(vector) for domain, vector in pool.task_vectors.items()}
    pool.task_vectors.update(counted)
    for n_members in (6, 5, 6):  # shares of a sixth are rounded and differ in the ninth place
        before = {domain: vector.n_added for domain, vector in counted.items()}
        pool.merge(Mixture.uniform(DOMAINS, DOMAINS[:n_members]), LINEAR)
    assert {d for d, vector in counted.items() if vector.n_added > before[d]} == {"f"}
    truth = merged_slowly(pool.live, pool, [1 / 6] * 6)
    assert relative_error(pool.live.tensors, truth) < 1e-6

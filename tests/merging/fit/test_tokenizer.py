from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from transformers import GPT2Config, GPT2Tokenizer

from mixwise.errors import CheckpointError
from mixwise.merging.fit.tokenizer import compare_tokenizers

FILES = ("tokenizer.json", "tokenizer_config.json", "config.json")
Rules = dict[str, Any]


@pytest.fixture
def folders(pico_base: Path, tmp_path: Path) -> tuple[Path, Path]:
    for folder in (tmp_path / "base", tmp_path / "expert"):
        folder.mkdir()
        for name in FILES:
            shutil.copyfile(pico_base / name, folder / name)
    return tmp_path / "base", tmp_path / "expert"


def edit(folder: Path, change: Callable[[Rules], object], name: str = "tokenizer.json") -> None:
    content = json.loads((folder / name).read_text())
    change(content)
    (folder / name).write_text(json.dumps(content))


def swap(rules: Rules) -> None:
    vocabulary = rules["model"]["vocab"]
    left, right = list(vocabulary)[300:302]
    vocabulary[left], vocabulary[right] = vocabulary[right], vocabulary[left]


def turn_merges(rules: Rules) -> None:
    merges = rules["model"]["merges"]
    merges[3], merges[9] = merges[9], merges[3]


LOWERCASE = {"type": "Lowercase"}
PAD = {
    "id": 320,
    "content": "[PAD]",
    "single_word": False,
    "lstrip": False,
    "rstrip": False,
    "normalized": False,
    "special": True,
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (swap, r"token '.*' \(300\) differs: use an expert with the base's vocabulary"),
        (lambda r: r["added_tokens"].append(PAD), r"token '\[PAD\]' \(320\) differs"),
        (lambda r: r.update(normalizer=LOWERCASE), r"the normaliser must be null, but is .*Lowerc"),
        (
            lambda r: r["pre_tokenizer"].update(add_prefix_space=True),
            "the pre-tokeniser, add_prefix_space must be false, but is true",
        ),
        (
            lambda r: r["added_tokens"][0].update(lstrip=True),
            "the added tokens, number 0, lstrip must be false, but is true",
        ),
        (turn_merges, "the merges, number 3 must be"),
        (lambda r: r["model"]["merges"].pop(), r"the merges, number \d+ must be .*, but is null"),
        (
            lambda r: r["model"].update(ignore_merges=True),
            "`ignore_merges` of the model must be false, but is true",
        ),
    ],
)
def test_what_decides_ids_is_refused_by_name(
    change: Callable[[Rules], object], text: str, folders: tuple[Path, Path]
) -> None:
    edit(folders[1], change)
    with pytest.raises(CheckpointError, match=text):
        compare_tokenizers(*folders)


def test_same_rules_written_otherwise_pass(folders: tuple[Path, Path]) -> None:
    edit(folders[1], lambda r: r.update(truncation=None, padding=None))
    edit(folders[1], lambda r: r["added_tokens"][0].update(special=True, normalized=True))
    assert compare_tokenizers(*folders) == ()


def test_what_decides_no_id_is_told(folders: tuple[Path, Path]) -> None:
    template = {
        "type": "TemplateProcessing",
        "single": [
            {"SpecialToken": {"id": "<|end|>", "type_id": 0}},
            {"Sequence": {"id": "A", "type_id": 0}},
        ],
        "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<|end|>": {"id": "<|end|>", "ids": [0], "tokens": ["<|end|>"]}},
    }
    edit(folders[1], lambda r: r.update(post_processor=template))
    chat = {"chat_template": "{{ messages }}"}
    edit(folders[1], lambda c: c.update(chat), "tokenizer_config.json")
    found = compare_tokenizers(*folders)
    assert found == ("the tokenizer's post-processor", "the tokenizer's chat template")


def test_expert_without_a_tokenizer_passes_and_is_told(folders: tuple[Path, Path]) -> None:
    (folders[1] / "tokenizer.json").unlink()
    assert compare_tokenizers(*folders) == (
        "no tokenizer beside it, so it is taken to be the base's",
    )


def test_adapter_folder_needs_no_configuration(folders: tuple[Path, Path]) -> None:
    (folders[1] / "config.json").unlink()
    (folders[1] / "adapter_config.json").write_text('{"base_model_name_or_path": "nobody/nothing"}')
    assert compare_tokenizers(*folders) == ()
    edit(folders[1], swap)
    with pytest.raises(CheckpointError, match=r"\(300\) differs"):
        compare_tokenizers(*folders)


def test_broken_tokenizer_is_refused(folders: tuple[Path, Path]) -> None:
    (folders[1] / "tokenizer.json").write_text("{")
    with pytest.raises(
        CheckpointError, match=r"expert: the tokenizer cannot be loaded.*save it ag"
    ):
        compare_tokenizers(*folders)


def save_slow(folder: Path, merges: list[str]) -> Path:
    """GPT-2's older files; transformers makes the fast form of them."""
    folder.mkdir()
    GPT2Config(n_layer=1).save_pretrained(folder)
    tokens = ["a", "b", "c", *(merge.replace(" ", "") for merge in merges), "<|endoftext|>"]
    vocabulary = {token: k for k, token in enumerate(sorted(set(tokens)))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]))
    return folder


def test_older_files_are_compared(tmp_path: Path) -> None:
    base = save_slow(tmp_path / "base", ["a b", "b c"])
    same = Path(shutil.copytree(base, tmp_path / "same"))
    assert compare_tokenizers(base, same) == ()
    (same / "merges.txt").write_text("#version: 0.1\na b\nb c\n")
    assert compare_tokenizers(base, same) == ()
    with pytest.raises(CheckpointError, match="the merges, number 0"):
        compare_tokenizers(base, save_slow(tmp_path / "turned", ["b c", "a b"]))
    with pytest.raises(CheckpointError, match=r"token 'bc' \(4\) differs"):
        compare_tokenizers(base, save_slow(tmp_path / "other", ["a b", "c a"]))


def test_older_files_of_the_same_tokenizer_pass_beside_newer_ones(tmp_path: Path) -> None:
    base = save_slow(tmp_path / "base", ["a b", "b c"])
    GPT2Tokenizer.from_pretrained(base).save_pretrained(tmp_path / "new")
    shutil.copyfile(base / "config.json", tmp_path / "new" / "config.json")
    assert (tmp_path / "new" / "tokenizer.json").is_file()
    assert compare_tokenizers(base, tmp_path / "new") == ()
    assert compare_tokenizers(tmp_path / "new", base) == ()

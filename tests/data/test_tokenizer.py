from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixwise.data.tokenizer import BaseTokenizer, Bos
from mixwise.errors import CheckpointError, RecipeError

BOS = "\u0100"  # the byte 0, which no text has


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(text=st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_bytes_of_the_tokens_add_up_to_the_text(pico_base: Path, text: str) -> None:
    [(ids, sizes)] = BaseTokenizer(pico_base).encode([text])
    assert len(ids) == len(sizes)
    assert sum(sizes) == len(text.encode())


def test_no_special_tokens_and_no_truncation(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    content = json.loads((copy / "tokenizer.json").read_text())
    content["truncation"] = {
        "direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0
    }  # fmt: skip
    (copy / "tokenizer.json").write_text(json.dumps(content))
    [(ids, _)] = BaseTokenizer(copy).encode(["one two three four five six seven"])
    assert len(ids) > 4
    assert BaseTokenizer(copy).end_of_text not in ids


def test_missing_tokenizer_is_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    (copy / "tokenizer.json").unlink()
    (copy / "tokenizer_config.json").unlink()
    with pytest.raises(CheckpointError, match="the tokenizer cannot be loaded"):
        BaseTokenizer(copy)


def test_missing_end_of_text_is_refused(pico_base: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(pico_base, tmp_path / "copy"))
    config = json.loads((copy / "tokenizer_config.json").read_text())
    config.pop("eos_token")
    (copy / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(CheckpointError, match="names no end-of-text token"):
        BaseTokenizer(copy)


def begin_with(folder: Path, copy: Path, *, adds: bool) -> Path:
    """A copy of a tokenizer whose BOS is the token of one byte, added to plain text or not."""
    shutil.copytree(folder, copy)
    edit_json(copy / "tokenizer_config.json", bos_token=BOS)
    if adds:
        special = {"SpecialToken": {"id": BOS, "type_id": 0}}
        template = {
            "type": "TemplateProcessing",
            "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [special, {"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {BOS: {"id": BOS, "ids": [bos_id(folder)], "tokens": [BOS]}},
        }
        edit_json(copy / "tokenizer.json", post_processor=template)
    return copy


def bos_id(folder: Path) -> int:
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return int(vocabulary[BOS])


def edit_json(file: Path, **changes: object) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("adds", "bos", "architecture", "begins"),
    [
        (True, "auto", "llama", True),
        (True, "never", "llama", False),
        (True, "always", "llama", True),
        (False, "auto", "llama", False),
        (False, "always", "llama", True),
        (False, "auto", "gemma2", True),
        (False, "never", "gemma2", False),
    ],
)
def test_rows_begin_with_bos_as_it_is_chosen(
    adds: bool,
    bos: Bos,
    architecture: str,
    begins: bool,
    pico_base: Path,
    tmp_path: Path,
) -> None:
    folder = begin_with(pico_base, tmp_path / "copy", adds=adds)
    tokenizer = BaseTokenizer(folder, bos=bos, architecture=architecture)
    plain = BaseTokenizer(folder, bos="never")
    assert tokenizer.start_of_text == (bos_id(folder) if begins else None)
    assert (tokenizer.fingerprint != plain.fingerprint) == begins
    assert tokenizer.bos_choice is not None
    assert tokenizer.bos_choice.startswith("documents" if begins else "rows do not")
    start = [bos_id(folder)] * begins
    [(ids, sizes)], [(bare, bare_sizes)] = tokenizer.encode(["one é"]), plain.encode(["one é"])
    assert list(ids) == [*start, *bare]
    assert list(sizes) == [*[0] * begins, *bare_sizes]
    assert list(tokenizer.ids(["one é"])) == [ids]


def test_a_tokenizer_without_bos_is_as_it_was(pico_base: Path) -> None:
    for architecture in ("llama", "gemma"):
        tokenizer = BaseTokenizer(pico_base, architecture=architecture)
        assert (tokenizer.start_of_text, tokenizer.bos_choice) == (None, None)
        assert tokenizer.fingerprint == BaseTokenizer(pico_base, bos="never").fingerprint
    with pytest.raises(RecipeError, match=r"`bos` is always, but the tokenizer in .* names no"):
        BaseTokenizer(pico_base, bos="always")

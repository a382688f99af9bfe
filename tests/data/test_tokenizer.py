from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mixwise.data.tokenizer import BaseTokenizer
from mixwise.errors import CheckpointError


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

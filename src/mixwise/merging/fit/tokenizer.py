"""Whether an expert was trained on the ids that the base's tokenizer gives.

Method:
    Both tokenizers are loaded as transformers loads them, which converts older files, and what
    turns a text into ids is compared part by part: vocabulary, added tokens, normaliser,
    pre-tokeniser, merges, and the settings of the model. What is put around a text (the
    post-processor, a chat template), padding, truncation and decoding decide no id of it.

Departures:
    Parts that are written differently but do the same are refused too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

from mixwise.errors import CheckpointError, first_line

_VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "merges.txt", "tekken.json")
_BINARY = ("*.model", "*.tiktoken")
_BESIDE = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
)
_NOT_FOR_IDS = ("special", "trim_offsets")  # for decoding, and for places in the text


def compare_tokenizers(base: Path, expert: Path) -> tuple[str, ...]:
    """Refuse an expert whose tokenizer gives other ids than the base's.

    Args:
        base: Folder of the base.
        expert: Folder of the expert, full or adapter.

    Returns:
        What differs and decides no id: parts of the tokenizer, or that there is none to compare.

    Raises:
        CheckpointError: If one of them cannot be loaded; or names the first part that differs.
    """
    there = [_files(folder) for folder in (base, expert)]
    if not _holds_vocabulary(base):
        return ()
    if not _holds_vocabulary(expert):
        return ("no tokenizer beside it, so it is taken to be the base's",)
    if there[1].items() <= there[0].items():
        return ()
    ours, theirs = (_load(folder, base) for folder in (base, expert))
    rules = [json.loads(tokenizer.backend_tokenizer.to_str()) for tokenizer in (ours, theirs)]
    _require_same_ids(rules[0], rules[1], expert)
    aside = {
        "post-processor": [r["post_processor"] for r in rules],
        "end-of-text token": [t.eos_token_id for t in (ours, theirs)],
        "chat template": [t.chat_template for t in (ours, theirs)],
    }
    return tuple(f"the tokenizer's {name}" for name, (a, b) in aside.items() if a != b)


def _files(folder: Path) -> dict[str, bytes]:
    """Content of all files of a tokenizer, by name."""
    named = [folder / name for name in (*_VOCABULARIES, *_BESIDE)]
    found = [path for pattern in _BINARY for path in folder.glob(pattern)]
    return {path.name: path.read_bytes() for path in (*named, *found) if path.is_file()}


def _holds_vocabulary(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _VOCABULARIES) or any(
        any(folder.glob(pattern)) for pattern in _BINARY
    )


def _load(folder: Path, base: Path) -> Any:
    from transformers import AutoConfig, AutoTokenizer

    local: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        kind = {}
        if (base / "config.json").is_file():  # an adapter's folder names no architecture
            kind["config"] = AutoConfig.from_pretrained(base, **local)
        tokenizer = AutoTokenizer.from_pretrained(folder, **kind, **local)
    except Exception as error:  # `tokenizers` raises bare exceptions
        raise CheckpointError(
            f"{folder}: the tokenizer cannot be loaded, so its ids cannot be compared with the "
            f"base's ({first_line(error)}): save it again, or remove its files if the expert was "
            "trained with the base's tokenizer"
        ) from None
    if not getattr(tokenizer, "is_fast", False):
        raise CheckpointError(
            f"{folder}: the tokenizer has no fast form, so its ids cannot be compared with the "
            "base's: save it as tokenizer.json, or remove its files if the expert was trained with "
            "the base's tokenizer"
        )
    return tokenizer


def _require_same_ids(ours: Mapping[str, Any], theirs: Mapping[str, Any], expert: Path) -> None:
    vocabularies = [_vocabulary(rules) for rules in (ours, theirs)]
    if vocabularies[0] != vocabularies[1]:
        differing = set(vocabularies[0].items()) ^ set(vocabularies[1].items())
        token, number = min(differing, key=lambda item: (item[1], item[0]))
        raise _error(expert, f"token {token!r} ({number}) differs", "with the base's vocabulary")
    parts = {
        "the normaliser": [rules["normalizer"] for rules in (ours, theirs)],
        "the pre-tokeniser": [rules["pre_tokenizer"] for rules in (ours, theirs)],
        "the added tokens": [_added(rules) for rules in (ours, theirs)],
        **{
            f"`{key}` of the model": [rules["model"].get(key) for rules in (ours, theirs)]
            for key in sorted((ours["model"].keys() | theirs["model"].keys()) - {"merges", "vocab"})
        },
        "the merges": [rules["model"].get("merges", ()) for rules in (ours, theirs)],
        "the scores": [_scores(rules["model"]["vocab"]) for rules in (ours, theirs)],
    }
    for name, (a, b) in parts.items():
        mine, other = _stripped(a), _stripped(b)
        if mine != other:
            what = _difference(name, mine, other)
            raise _error(expert, what, "that was trained with the base's tokenizer")


def _vocabulary(rules: Mapping[str, Any]) -> dict[str, int]:
    tokens = rules["model"]["vocab"]
    if isinstance(tokens, list):  # of a unigram model: pairs of token and score
        tokens = {token: number for number, (token, _) in enumerate(tokens)}
    return {**tokens, **{token["content"]: token["id"] for token in rules["added_tokens"]}}


def _scores(vocabulary: object) -> object:
    """Of a unigram model, whose vocabulary is a list of tokens and scores."""
    return vocabulary if isinstance(vocabulary, list) else None


def _added(rules: Mapping[str, Any]) -> list[Any]:
    """Added tokens by id; whether one is looked for in the normalised text needs a normaliser."""
    ignored = () if rules["normalizer"] else ("normalized",)
    tokens = sorted(rules["added_tokens"], key=lambda token: int(token["id"]))
    return [{k: v for k, v in token.items() if k not in ignored} for token in tokens]


def _stripped(part: Any) -> Any:
    """A part of the rules without what decides no id."""
    if isinstance(part, dict):
        return {k: _stripped(v) for k, v in part.items() if k not in _NOT_FOR_IDS}
    if isinstance(part, list):
        return part if part and isinstance(part[0], str) else [_stripped(p) for p in part]
    return part


def _difference(name: str, ours: Any, theirs: Any) -> str:
    """The first place inside of a part at which two tokenizers differ."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        key = next(k for k in {**ours, **theirs} if ours.get(k) != theirs.get(k))
        return _difference(f"{name}, {key}", ours.get(key), theirs.get(key))
    if isinstance(ours, list) and isinstance(theirs, list) and not _is_merge(ours):
        pairs = zip_longest(ours, theirs)
        k, (a, b) = next((k, pair) for k, pair in enumerate(pairs) if pair[0] != pair[1])
        return _difference(f"{name}, number {k}", a, b)
    return f"{name} must be {_shown(ours)}, but is {_shown(theirs)}"


def _is_merge(part: list[Any]) -> bool:
    return len(part) == 2 and all(isinstance(token, str) for token in part)


def _error(expert: Path, what: str, which: str) -> CheckpointError:
    return CheckpointError(
        f"{expert}: the tokenizer must give the base's ids, but {what}: use an expert {which}"
    )


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else f"{text[:77]}…"

from __future__ import annotations

import dataclasses

import yaml

from mixwise.stages.model_card import MergedPart, MergeFacts, render_card, render_mergekit

FACTS = MergeFacts(
    base="org/base",
    base_fingerprint="00ff",
    parts=(MergedPart("math", "org/math", 0.75, "aa"), MergedPart("a|b\nc", "/x", 0.0, "bb")),
    shares_by="tokens",
    rule="linear",
    rule_source="a paper",
    precision="bfloat16",
    is_adapter=False,
    is_linear=True,
    why="Because.",
    metrics={"quiz/loss": 1.25},
)


def test_the_card_tells_how_the_model_came_to_be() -> None:
    card = render_card(FACTS)
    header = yaml.safe_load(card.split("---")[1])
    assert header["base_model"] == ["org/base"]
    assert (header["base_model_relation"], header["library_name"]) == ("merge", "transformers")
    assert "| domain | share (tokens) | expert | hash |" in card
    assert "| math | 0.75 | `org/math` | `aa` |" in card
    assert "| a\\|b c | 0 | `/x` | `bb` |" in card  # no row or column more
    assert "Because." in card
    assert "| quiz/loss | 1.2500 |" in card
    assert "saved in bfloat16" in card


def test_weights_of_an_adapter_are_named_as_such() -> None:
    card = render_card(dataclasses.replace(FACTS, shares_by="", is_adapter=True, metrics={}))
    header = yaml.safe_load(card.split("---")[1])
    assert (header["base_model_relation"], header["library_name"]) == ("adapter", "peft")
    assert "| domain | merge weight |" in card
    assert "| metric |" not in card


def test_mergekit_is_told_what_has_a_weight() -> None:
    assert yaml.safe_load(render_mergekit(FACTS)) == {
        "merge_method": "task_arithmetic",
        "base_model": "org/base",
        "models": [{"model": "org/math", "parameters": {"weight": 0.75}}],
        "parameters": {"normalize": False, "lambda": 1.0},
        "dtype": "float32",
        "out_dtype": "bfloat16",
    }

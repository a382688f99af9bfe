from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from trials.architectures import judge, whole_table

CASES = {case.name: case for case in whole_table()}
QUICK = (
    "gpt2 as on the hub",
    "gpt_neox as on the hub",
    "gpt_neox base by today's names",
    "bert by old names",
    "llama of another age",
    "llama single file beside shards and their index",
    "llama sharded in the hub's cache",
    "llama in a file that config.json names",
    "llama index with ..",
    "llama untied against its config",
    "llama f32, bf16 experts",
    "llama bf16, fp16 experts",
    "llama f64 experts",
    "llama int8 experts",
    "llama of another width",
    "olmoe, one by one",
    "olmoe joined",
)


def test_there_are_many_cases_and_no_two_have_one_name() -> None:
    assert len(CASES) == len(whole_table()) > 100
    assert len({case.model_type for case in CASES.values()}) > 50


@pytest.mark.parametrize("name", QUICK)
def test_merge_is_that_of_plain_transformers_or_refused(name: str, tmp_path: Path) -> None:
    if not CASES[name].is_known:
        pytest.skip("this transformers does not know the layout")
    assert judge(CASES[name], tmp_path).startswith("ok")


def test_a_case_with_the_wrong_reason_fails(tmp_path: Path) -> None:
    odd = dataclasses.replace(CASES["llama quantised"], refusal="is too old")
    assert judge(odd, tmp_path).startswith("FAIL refused")


def test_a_merge_that_should_be_refused_fails(tmp_path: Path) -> None:
    odd = dataclasses.replace(CASES["llama"], refusal="is too old")
    assert judge(odd, tmp_path).startswith("FAIL accepted")

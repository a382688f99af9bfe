"""A domain of several sources: what check says of it, what it shows, and what is found in it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import sentences, write_rows
from tests.study.test_inputs import inputs_of, talk_in

from mixwise.stages.check import run_check
from mixwise.stages.notes import notes_of
from mixwise.study.inputs import Inputs

ONE = "alpha: {files: alpha.jsonl}"
TWO = "alpha: {sources: [{files: alpha.jsonl, weight: 3}, {files: talks.jsonl, weight: 1}]}"
LEAKED = "one two three four five six seven eight nine ten eleven twelve in alpha"


@pytest.fixture
def inputs(pico: Path) -> Inputs:
    """Texts and conversations in one domain, three tokens of texts for one of conversations."""
    talk_in(pico)
    (pico / "beta.jsonl").rename(pico / "talks.jsonl")
    write_rows(pico / "beta.jsonl", [{"text": text} for text in sentences("beta", 0, 60)])
    with (pico / "alpha.jsonl").open("a") as file:
        file.writelines(json.dumps({"text": f"{k} {LEAKED}"}) + "\n" for k in range(9))
    talks = (pico / "talks.jsonl").read_text().splitlines()[::-1]
    asked = [{"role": "user", "content": LEAKED}, {"role": "assistant", "content": "yes"}]
    (pico / "talks.jsonl").write_text(
        "\n".join([json.dumps({"messages": asked})] * 9 + talks) + "\n"
    )
    quiz = [{"prompt": LEAKED, "choices": [" a", " b"], "answer": 0}]
    write_rows(pico / "quiz.jsonl", quiz)
    return inputs_of(pico, (ONE, TWO))


def test_check_says_what_is_read_of_each_source_and_shows_rows_of_each(
    inputs: Inputs, pico: Path
) -> None:
    checked = run_check(inputs, pico / "study", n_shown=1)
    n_texts, n_talks = inputs.corpus("alpha").facts.n_by_source
    assert n_texts == 69
    assert 0 < n_talks < 69
    told = f"all tokens, 69 of 69 of `sources.0`, {n_talks} of 69 of `sources.1` documents"
    assert any(told in note for note in checked.notes)
    assert any(note.startswith("`domains.alpha.sources.1`: its fields") for note in checked.notes)
    shown = [Path(r.document.file).name for r in checked.review.rows if r.name == "alpha"]
    assert shown == ["alpha.jsonl", "talks.jsonl"]


def test_leaks_are_found_in_each_source_that_is_read(inputs: Inputs) -> None:
    [leak] = inputs.leaks["quiz"].leaks
    assert leak.domain == "alpha"
    assert Path(leak.document.rpartition(":")[0]).name in ("alpha.jsonl", "talks.jsonl")


def test_rows_of_a_set_that_its_weights_leave_out_are_counted_and_no_leaks(pico: Path) -> None:
    mixed = (pico / "mixed.jsonl").read_text().splitlines()
    alpha = (pico / "alpha.jsonl").read_text().splitlines()
    (pico / "mixed.jsonl").write_text("\n".join(mixed[:2]) + "\n")
    (pico / "more.jsonl").write_text("\n".join([*mixed, *alpha]) + "\n")
    found = "mixed: {sources: [{files: mixed.jsonl, weight: 1}, {files: more.jsonl, weight: 1}]}"
    inputs = inputs_of(pico, ("mixed: {files: mixed.jsonl}", found))
    assert sum(inputs.corpus("mixed").facts.n_by_source) < 9
    assert inputs.leaks["mixed"].n_rows < 9
    assert not inputs.leaks["mixed"].leaks
    told = (
        "`evaluation.sets.mixed`: of its sources are read, by their weights of all tokens, 2 of 2"
    )
    assert any(note.startswith(told) for note in notes_of(inputs))


def test_weights_count_what_shares_count(inputs: Inputs, pico: Path) -> None:
    rows = inputs_of(pico, (ONE, TWO), ("budget: 100", "budget: 100\nshares_by: rows"))
    assert rows.corpus_key("alpha") != inputs.corpus_key("alpha")
    assert rows.corpus_key("beta") == inputs.corpus_key("beta")
    assert rows.corpus("alpha").facts.n_by_source == (69, 23)


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # `datasets` leaves its files open
def test_a_stream_is_a_source_as_others_and_check_says_where_it_was_left(
    pico: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import datasets

    lines = (pico / "alpha.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    table = datasets.Dataset.from_list(rows).to_iterable_dataset()
    monkeypatch.setattr(datasets, "load_dataset", lambda *_, **__: table)
    inputs = inputs_of(pico, (ONE, "alpha: {hub: {dataset: org/alpha, stream_rows: 50}}"))
    checked = run_check(inputs, pico / "study")
    assert any(
        note.startswith("`domains.alpha.hub`: the first 50 rows of the stream were read, and it")
        for note in checked.notes
    )
    (pico / "alpha.jsonl").write_text("\n".join(lines[:50]) + "\n")
    assert inputs_of(pico).corpus("alpha").facts == inputs.corpus("alpha").facts
    assert inputs_of(pico).corpus_key("alpha") == inputs.corpus_key("alpha")

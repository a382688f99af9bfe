from __future__ import annotations

import csv
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.export.studies import open_study, recommend, write_talks, write_words

from mixwise.errors import DataError, RecipeError
from mixwise.export.exporter import Delivery, Export, RowsFormat
from mixwise.export.exporters import EXPORTERS
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace

SHARES = {"short": 0.5, "long": 0.5}


@pytest.fixture
def texts(pico: Path) -> Workspace:
    """Two domains, one with short rows and one with long ones."""
    write_words(pico / "short.jsonl", 400, 6)
    write_words(pico / "long.jsonl", 40, 120)
    domains = {"short": "{files: short.jsonl}", "long": "{files: long.jsonl}"}
    return open_study(pico, domains, tokens=4096)


def delivered(
    workspace: Workspace,
    recommendation: Recommendation,
    to: str,
    rows: RowsFormat | None = None,
) -> Export:
    exporter = EXPORTERS.find(to)
    assert exporter.deliver is not None
    file = workspace.study.folder / exporter.file
    made = exporter.deliver(recommendation, workspace, Delivery(file, rows))
    for each in made.beside:
        each.write(each.path)
    return made


def as_yaml(made: Export) -> Any:
    return yaml.safe_load("\n".join(made.lines))


def read_rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def tokens_of(workspace: Workspace, rows: list[dict[str, Any]]) -> Counter[str]:
    """Tokens by the file that a text stands in, told again by the tokenizer."""
    found: Counter[str] = Counter()
    folder = workspace.inputs.settings.recipe_folder
    home = {row["text"]: name for name in SHARES for row in read_rows(folder / f"{name}.jsonl")}
    for row in rows:
        ids = workspace.inputs.tokenizer.tokenizer(row["text"])["input_ids"]
        found[home[row["text"]]] += len(ids) + 1  # with the token that ends a text
    return found


def test_rows_of_a_trainer_that_counts_rows_give_the_shares_of_tokens(texts: Workspace) -> None:
    recommendation = recommend(texts, SHARES)
    made = delivered(texts, recommendation, "ms-swift")
    counts = {name: int(n) for name, n in made.facts["weights"].items()}
    assert counts["short"] > 10 * counts["long"]
    whole = delivered(texts, recommendation, "huggingface").facts["weights"]
    assert whole["short"] > 0.9  # where they are not, half of the rows would be nearly all long
    assert set(made.facts["tokens"].values()) == {2048}
    for name, n in counts.items():
        folder = texts.inputs.settings.recipe_folder
        rows = read_rows(folder / f"{name}.jsonl")
        lengths = [
            len(texts.inputs.tokenizer.tokenizer(row["text"])["input_ids"]) + 1 for row in rows
        ]
        assert n * np.mean(lengths) == pytest.approx(2048, abs=np.mean(lengths))


@pytest.mark.parametrize("seed", [1, 7])
def test_written_rows_are_exact_whole_and_without_heldout_ones(texts: Workspace, seed: int) -> None:
    recommendation = recommend(texts, SHARES)
    made = delivered(texts, recommendation, "rows")
    rows = read_rows(Path(made.facts["rows_file"]))
    tokens = tokens_of(texts, rows)
    assert tokens == made.facts["row_tokens"]
    longest = max(texts.inputs.corpus("long").document_lengths(heldout=False))
    for name in SHARES:
        assert abs(tokens[name] - 2048) <= longest / 2
        hashes = texts.inputs.corpus(name).document_hashes(heldout=True)
        assert len(hashes)
    assert all(set(row) == {"text", "source"} for row in rows)  # as they stand
    from mixwise.data.tokenising import hash_text

    heldout = {int(h) for n in SHARES for h in texts.inputs.corpus(n).document_hashes(heldout=True)}
    assert not heldout & {hash_text(row["text"]) for row in rows}
    firsts = [row["text"] for row in rows[: len(rows) // 2]]
    assert tokens_of(texts, [{"text": text} for text in firsts]).keys() == set(SHARES)


def test_a_domain_that_is_repeated_is_read_in_whole_epochs(pico: Path) -> None:
    write_words(pico / "short.jsonl", 400, 6)
    write_words(pico / "long.jsonl", 12, 40)
    domains = {"short": "{files: short.jsonl}", "long": "{files: long.jsonl}"}
    study = open_study(pico, domains, tokens=4096)
    made = delivered(study, recommend(study, SHARES), "rows")
    texts = {row["text"] for row in read_rows(pico / "long.jsonl")}
    read = [r["text"] for r in read_rows(Path(made.facts["rows_file"])) if r["text"] in texts]
    n = study.inputs.corpus("long").facts.n_train_documents
    assert len(read) > 2 * n
    for start in range(0, len(read) - n, n):
        assert len(set(read[start : start + n])) == n
    assert max(Counter(read).values()) - min(Counter(read).values()) <= 1


def test_parquet_holds_the_same_rows_as_json_lines(texts: Workspace) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    recommendation = recommend(texts, SHARES)
    lines = read_rows(Path(delivered(texts, recommendation, "rows").facts["rows_file"]))
    table = delivered(texts, recommendation, "trl", "parquet").facts["rows_file"]
    assert parquet.read_table(table).to_pylist() == lines


def test_kept_conversations_of_three_formats_become_lists_of_messages(pico: Path) -> None:
    template = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}"
    (pico / "talk.jinja").write_text(template)
    kinds = {"a": "chat", "b": "sharegpt", "c": "alpaca"}
    for name, records in kinds.items():
        write_talks(pico / f"{name}.jsonl", 30, records)
    domains = {name: f"{{files: {name}.jsonl}}" for name in kinds}
    study = open_study(pico, domains, 512, "chat_template: talk.jinja\n")
    recommendation = recommend(study, {"a": 0.5, "b": 0.25, "c": 0.25})
    with pytest.raises(RecipeError, match=r"domains\.c.*but these are alpaca.*--materialise"):
        delivered(study, recommendation, "axolotl")
    made = delivered(study, recommendation, "axolotl", "jsonl")
    rows = read_rows(Path(made.facts["rows_file"]))
    assert all([t["role"] for t in row["messages"]] == ["user", "assistant"] for row in rows)
    assert {row["messages"][0]["content"].split()[0] for row in rows} == set(kinds)
    [dataset] = as_yaml(made)["datasets"]
    assert dataset["path"] == made.facts["rows_file"]
    assert "weight" not in dataset
    shared = delivered(study, recommendation, "llamafactory-v1", "jsonl")
    rows = read_rows(Path(shared.facts["rows_file"]))
    assert all([t["from"] for t in r["conversations"]] == ["human", "gpt"] for r in rows)
    info = delivered(study, recommendation, "llamafactory")
    described = json.loads(info.beside[0].path.read_text())
    assert [described[name]["formatting"] for name in kinds] == ["openai", "sharegpt", "alpaca"]
    asked: tuple[RowsFormat | None, ...] = (None, "jsonl", "parquet")
    for rows_format in asked:  # nor is another format or one kind advised, which is refused next
        for to in ("megatron", "nemo", "olmo-core"):
            with pytest.raises(RecipeError, match=r"takes no chat records: export the stream"):
                delivered(study, recommendation, to, rows_format)


def test_what_a_trainer_cannot_be_told_is_refused_and_can_be_written(pico: Path) -> None:
    write_words(pico / "all.jsonl", 200, 20)
    write_words(pico / "more.jsonl", 200, 20)
    (pico / "plain.txt").write_text("".join(f"{k} a b c d e f g h {k}\n\n" for k in range(900)))
    domains = {
        "web": "{files: all.jsonl, where: {source: web}}",
        "two": "{sources: [{files: all.jsonl, where: {source: wiki}, weight: 1},"
        " {files: more.jsonl, weight: 3}]}",
        "plain": "{files: plain.txt, document_characters: 40}",
    }
    study = open_study(pico, domains, 2048)
    shares = {"web": 0.25, "two": 0.5, "plain": 0.25}
    for only, reason in {
        "web": r"domains\.web.*`where` chooses rows \(\{'source': 'web'\}\)",
        "two": r"domains\.two.*one source a dataset, but this domain has 2",
        "plain": r"domains\.plain.*plain text, which mixwise cuts",
    }.items():
        alone = recommend(study, {name: float(name == only) for name in shares})
        for to in ("trl", "axolotl", "ms-swift", "huggingface", "megatron", "torchtitan"):
            with pytest.raises(RecipeError, match=reason):
                delivered(study, alone, to)
    made = delivered(study, recommend(study, shares), "megatron", "jsonl")
    rows = read_rows(Path(made.facts["rows_file"]))
    assert made.facts["layout"] == "as it stands"
    assert sum(made.facts["rows"].values()) == len(rows)
    of_web = {r["text"] for r in read_rows(pico / "all.jsonl") if r["source"] == "web"}
    assert sum(row["text"] in of_web for row in rows) == made.facts["rows"]["web"]
    assert "mixture_text_document" in "\n".join(made.lines)


def test_rows_that_have_changed_since_they_were_counted_are_refused(texts: Workspace) -> None:
    recommendation = recommend(texts, SHARES)
    exporter = EXPORTERS.find("rows")
    assert exporter.deliver is not None
    made = exporter.deliver(recommendation, texts, Delivery(texts.study.folder / "x.json"))
    path = texts.inputs.settings.recipe_folder / "long.jsonl"
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-1]))
    with pytest.raises(DataError, match="rows that the study counted are gone"):
        made.beside[0].write(made.beside[0].path)
    path.write_text("".join([*lines, '{"text": "new", "source": "web"}\n']))
    with pytest.raises(DataError, match="was not there when the study counted tokens"):
        made.beside[0].write(made.beside[0].path)


def test_the_table_has_every_unit(texts: Workspace) -> None:
    made = delivered(texts, recommend(texts, {"short": 0.25, "long": 0.75}), "csv")
    rows = list(csv.DictReader(line for line in made.lines if not line.startswith("#")))
    assert [float(row["token_share"]) for row in rows] == [0.25, 0.75]
    assert sum(float(row["row_share"]) for row in rows) == pytest.approx(1)
    for row in rows:
        n_tokens = float(row["rows"]) * float(row["tokens_per_row"])
        assert n_tokens == pytest.approx(float(row["tokens"]), abs=float(row["tokens_per_row"]))
    with pytest.raises(RecipeError, match="--to rows"):
        delivered(texts, recommend(texts, SHARES), "csv", "jsonl")


def test_a_domain_without_a_share_is_not_handed_over(texts: Workspace) -> None:
    made = delivered(texts, recommend(texts, {"short": 1.0, "long": 0.0}), "llamafactory")
    assert as_yaml(made)["dataset"] == "short"
    assert list(made.facts["weights"]) == ["short"]


def test_every_trainers_file_says_what_a_weight_is(texts: Workspace) -> None:
    recommendation = recommend(texts, {"short": 0.3, "long": 0.7})
    names = [row.name for row in EXPORTERS.values() if row.about.startswith("for ")]
    assert len(names) == 10
    for to in names:
        if to in ("trl", "axolotl"):
            continue
        if to == "llamafactory-v1":
            with pytest.raises(RecipeError, match="takes no text records: export the stream"):
                delivered(texts, recommendation, to)
            continue
        lines = list(delivered(texts, recommendation, to).lines)
        comment = "\n".join(line for line in lines if line.startswith("#"))
        assert "A weight here: " in comment
        assert "rows that the study only measures on" in comment
        assert "share of tokens" in comment


def test_a_mixture_that_reads_rows_twice_is_refused_where_that_cannot_be_said(
    texts: Workspace,
) -> None:
    twice = recommend(texts, {"short": 1.0, "long": 0.0})
    for to in ("trl", "axolotl"):
        with pytest.raises(RecipeError, match=r"each row once, but the mixture reads these 1\.\d"):
            delivered(texts, twice, to)
    made = delivered(texts, twice, "trl", "jsonl")
    content = as_yaml(made)
    assert content["datasets"][0]["data_files"] == [made.facts["rows_file"]]
    assert "fraction" not in content["datasets"][0]
    with pytest.raises(RecipeError, match=r"Megatron.*use `--materialise jsonl`"):
        delivered(texts, twice, "megatron", "parquet")


def test_a_run_of_less_than_half_a_row_is_refused(texts: Workspace) -> None:
    long = recommend(texts, {"short": 0.0, "long": 1.0})
    tiny = replace(long, run=replace(long.run, n_sequences=1))
    with pytest.raises(RecipeError, match="16 tokens are less than half of a row"):
        delivered(texts, tiny, "rows")


def test_rows_that_are_learned_in_two_ways_are_refused(pico: Path) -> None:
    (pico / "talk.jinja").write_text("{% for m in messages %}{{ m.content }}\n{% endfor %}")
    for name in ("a", "b"):
        write_talks(pico / f"{name}.jsonl", 30, "chat")
    domains = {"a": "{files: a.jsonl}", "b": "{files: b.jsonl, learn: all}"}
    study = open_study(pico, domains, 512, "chat_template: talk.jinja\n")
    recommendation = recommend(study, {"a": 0.5, "b": 0.5})
    with pytest.raises(RecipeError, match="TRL learns assistant or all of all domains"):
        delivered(study, recommendation, "trl")
    with pytest.raises(RecipeError, match="one file of rows is learned in one way"):
        delivered(study, recommendation, "trl", "jsonl")
    made = delivered(study, recommendation, "rows", "jsonl")
    rows = read_rows(Path(made.facts["rows_file"]))
    assert all(set(row) == {"messages", "id"} for row in rows)  # as they stand, kept as chat

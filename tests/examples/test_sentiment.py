"""The sentiment study: its recipe, its rows, and the whole job in small."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from examples.sentiment import make_data
from examples.sentiment.make_data import LABELS, SOURCES, make_base, read_rows, read_words
from tests.command_line import Cli
from tests.examples.small import shrunk

from mixwise.recipe import load_recipe

RECIPE = Path(make_data.__file__).with_name("recipe.yaml")
WORDS = {"negative": ("bad", "dull", "poor"), "positive": ("good", "fine", "great")}


def written(folder: Path) -> Path:
    """An unpacked source distribution in small."""
    sentences = folder / "additional_resources" / "hutto_ICWSM_2014"
    lexicon = folder / "vaderSentiment"
    for path in (sentences, lexicon):
        path.mkdir(parents=True)
    rng = random.Random(0)
    for name, file in SOURCES.items():
        lines = ["0_0\t0.1\tnobody knows"]
        for k in range(60):
            sign = 1 if rng.random() < 0.5 else -1
            word = rng.choice(WORDS[LABELS[sign > 0]])
            lines.append(f"{k}_0\t{sign * 2.5}\tthe {name} number {k} was {word}")
        (sentences / f"{file}_GroundTruth.txt").write_text("\n".join([*lines, lines[-1]]) + "\n")
    rows = [
        f"{word}\t{2.0 if label == 'positive' else -2.0}"
        for label in LABELS
        for word in WORDS[label]
    ]
    (lexicon / "vader_lexicon.txt").write_text("\n".join(rows) + "\n")
    return folder


def test_the_recipe_names_what_is_written() -> None:
    recipe = load_recipe(RECIPE)
    sources = {**recipe.domains, **recipe.evaluation.sets}
    assert {name: source.files for name, source in sources.items()} == {
        name: (f"data/{name}.jsonl",) for name in sources
    }
    assert set(sources) == set(SOURCES)


def test_sentences_that_people_agree_on_are_taken_once(tmp_path: Path) -> None:
    rows = list(read_rows(written(tmp_path / "vader"), SOURCES["films"]))
    assert len(rows) == 60
    assert {row["label"] for row in rows} == set(LABELS)


def test_the_whole_job_in_small(tmp_path: Path, mixwise: Cli) -> None:
    root = written(tmp_path / "vader")
    (tmp_path / "data").mkdir()
    texts = []
    for name, file in SOURCES.items():
        rows = list(read_rows(root, file))
        texts += [row["text"] for row in rows]
        lines = [json.dumps(row) + "\n" for row in rows]
        (tmp_path / "data" / f"{name}.jsonl").write_text("".join(lines))
    make_base(tmp_path / "base", list(read_words(root)), texts)
    changes = {
        "horizon_examples: 8192": "horizon_examples: 128",
        "max_sequences: 1000": "max_sequences: 40",
        "workers: 2": "workers: 1",
    }
    (tmp_path / "recipe.yaml").write_text(shrunk(RECIPE, changes))
    code, _, err = mixwise("run", tmp_path / "recipe.yaml", "--study", tmp_path / "study")
    assert code == 0, err
    found = json.loads((tmp_path / "study" / "recommendation.json").read_text())
    assert set(found["mixture"]) == {"films", "amazon", "newspaper"}
    assert sum(found["mixture"].values()) == pytest.approx(1)
    assert "examples and scored" in (tmp_path / "study" / "report.html").read_text()

"""The study of three scales: its recipe, its labels, and the whole job in small."""

from __future__ import annotations

import json
from pathlib import Path

from examples.heads import make_data
from examples.heads.make_data import grade, labels_of, read_rated, stars, write_study
from tests.command_line import Cli
from tests.examples.small import shrunk
from tests.examples.test_sentiment import written

from mixwise.recipe import load_recipe

RECIPE = Path(make_data.__file__).with_name("recipe.yaml")


def test_the_recipe_names_what_is_written() -> None:
    recipe = load_recipe(RECIPE)
    assert recipe.labels == "per-domain"
    assert recipe.domain_names == make_data.DOMAINS
    sources = {**recipe.domains, **recipe.evaluation.sets}
    assert {name: source.files for name, source in sources.items()} == {
        name: (f"data/{name}.jsonl",) for name in make_data.SCALES
    }


def test_a_rating_is_a_star_or_a_grade() -> None:
    assert [stars(rating) for rating in (-2.5, -1, 0, 1, 2.5)] == ["1", "2", "3", "4", "5"]
    assert [grade(rating) for rating in (-1.5, 0, 1.5)] == ["poor", "mixed", "good"]


def test_the_whole_job_in_small(tmp_path: Path, mixwise: Cli) -> None:
    root = written(tmp_path / "vader")
    assert labels_of(list(read_rated(root, "amazon"))) == ["good", "mixed", "poor"]
    write_study(tmp_path, root)
    changes = {
        "horizon_examples: 4096": "horizon_examples: 128",
        "max_sequences: 1000": "max_sequences: 40",
    }
    (tmp_path / "recipe.yaml").write_text(shrunk(RECIPE, changes))
    code, _, err = mixwise("run", tmp_path / "recipe.yaml", "--study", tmp_path / "study")
    assert code == 0, err
    found = json.loads((tmp_path / "study" / "recommendation.json").read_text())
    assert found["mixture"]["newspaper"] >= 0.1
    config = json.loads((tmp_path / "study" / "experts" / "films" / "config.json").read_text())
    assert list(config["id2label"].values())[-2:] == ["newspaper/negative", "newspaper/positive"]

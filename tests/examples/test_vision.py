"""The vision study: its recipe, its image folders, and the whole job in small."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from examples.vision import make_data
from examples.vision.make_data import DOMAINS, TARGET, Drawing, make_base, write_folders
from tests.command_line import Cli
from tests.examples.small import shrunk
from tests.images import COLOURS, LABELS, drawing

from mixwise.recipe import load_recipe

RECIPE = Path(make_data.__file__).with_name("recipe.yaml")


def drawings() -> list[Drawing]:
    """Bars and discs, a colour a style, in place of emoji."""
    colours = [*COLOURS.values(), (200, 200, 40), (120, 20, 160)]
    styles = dict(zip((*DOMAINS, TARGET), colours, strict=True))
    rng, found = np.random.default_rng(0), []
    for place in (*styles, "base"):
        for label in LABELS:
            for k in range(20):
                colour = styles.get(place, colours[k % 4])
                found.append(Drawing(place, label, str(k), drawing(rng, label, colour)))
    return found


def test_the_recipe_names_what_is_written() -> None:
    recipe = load_recipe(RECIPE)
    sources = {**recipe.domains, **recipe.evaluation.sets}
    assert {name: source.files for name, source in sources.items()} == {
        name: (f"data/{name}",) for name in (*DOMAINS, TARGET)
    }


def test_the_whole_job_in_small(tmp_path: Path, mixwise: Cli) -> None:
    made = drawings()
    write_folders(made, tmp_path / "data")
    make_base(tmp_path / "base", [each for each in made if each.place == "base"])
    changes = {
        "horizon_examples: 4096": "horizon_examples: 64",
        "max_sequences: 1000": "max_sequences: 40\n  batch_norm_batches: 4",
    }
    (tmp_path / "recipe.yaml").write_text(shrunk(RECIPE, changes))
    code, _, err = mixwise("run", tmp_path / "recipe.yaml", "--study", tmp_path / "study")
    assert code == 0, err
    found = json.loads((tmp_path / "study" / "recommendation.json").read_text())
    assert set(found["mixture"]) == set(DOMAINS)
    assert sum(found["mixture"].values()) == pytest.approx(1)
    assert "examples and scored" in (tmp_path / "study" / "report.html").read_text()
    assert (tmp_path / "study" / "experts" / "google" / "preprocessor_config.json").is_file()

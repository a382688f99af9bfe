from pathlib import Path

import pytest
import yaml
from tests.export.studies import hand, handed

from mixwise.errors import RecipeError
from mixwise.export.trainers.axolotl import AXOLOTL
from mixwise.export.trainers.trainer import require_readable
from mixwise.recipe import HubDataset


def test_weights_are_the_fractions_of_rows_that_are_kept() -> None:
    hub = HubDataset(dataset="org/talks", revision="v1")
    mixture = hand(
        handed("a", 0.5, n_rows=400, mean=5, records="chat"),
        handed("b", 0.5, n_rows=100, mean=50, records="chat", hub=hub, files=(), format=None),
    )
    require_readable(mixture, AXOLOTL)
    content = yaml.safe_load("\n".join(AXOLOTL.render(mixture, Path("a.yaml")).lines))
    first, second = content["datasets"]
    assert int(first["weight"] * 400) == 100
    assert int(second["weight"] * 100) == 31  # 500 tokens of rows cut at 16
    assert (second["path"], second["revision"]) == ("org/talks", "v1")
    assert content["excess_length_strategy"] == "truncate"
    assert content["train_on_inputs"] is False


def test_a_share_that_needs_rows_twice_is_refused() -> None:
    mixture = hand(handed("a", 1.0, n_rows=150, mean=5))
    with pytest.raises(
        RecipeError, match=r"each row once, but the mixture reads these 1\.33 times"
    ):
        require_readable(mixture, AXOLOTL)


def test_texts_may_stand_beside_conversations() -> None:
    mixture = hand(
        handed("talks", 0.5, n_rows=400, mean=5, records="chat"),
        handed("texts", 0.5, n_rows=400, mean=5),
    )
    assert [domain.source.learn for domain in mixture.domains] == ["assistant", "all"]
    require_readable(mixture, AXOLOTL)
    content = yaml.safe_load("\n".join(AXOLOTL.render(mixture, Path("a.yaml")).lines))
    assert [each["type"] for each in content["datasets"]] == ["chat_template", "completion"]
    assert content["train_on_inputs"] is False

import math
from pathlib import Path
from typing import Any

import pytest

from mixwise.errors import CheckpointError
from mixwise.merging.task_vectors.adapter_scales import LoraScales

FOLDER = Path("adapter")


def scales(**config: Any) -> LoraScales:
    return LoraScales({"r": 4, "lora_alpha": 8, **config}, FOLDER)


def test_the_scale_is_alpha_over_rank_or_over_its_root() -> None:
    assert scales().scale("layers.0.q_proj") == 2
    assert scales(use_rslora=True).scale("layers.0.q_proj") == 8 / math.sqrt(4)


def test_the_first_pattern_that_fits_the_end_of_a_name_counts() -> None:
    found = scales(rank_pattern={"layers.1.q_proj": 2, "q_proj": 16}, alpha_pattern={".*k_proj": 1})
    assert [found.rank(f"model.layers.{k}.q_proj") for k in (0, 1)] == [16, 2]
    assert found.rank("model.layers.0.my_q_proj") == 4
    assert found.scale("model.layers.0.k_proj") == 0.25


@pytest.mark.parametrize(
    ("config", "rule"),
    [
        ({"r": 0}, "`r` of adapter_config.json must be a whole number above 0, but is 0"),
        ({"r": True}, "`r` .* but is True"),
        ({"r": None}, "`r` .* but is None"),
        ({"lora_alpha": math.inf}, "`lora_alpha` .* must be a number above 0, but is inf"),
        ({"rank_pattern": ["q"]}, "`rank_pattern` .* must be an object"),
        ({"rank_pattern": {"(": 1}}, "`rank_pattern` .* keys are regular expressions"),
        ({"alpha_pattern": {"q": -1}}, r"`alpha_pattern\.q` .* must be a number above 0"),
    ],
)
def test_what_gives_no_scale_is_refused_by_its_key(config: dict[str, Any], rule: str) -> None:
    with pytest.raises(CheckpointError, match=rule):
        scales(**config)

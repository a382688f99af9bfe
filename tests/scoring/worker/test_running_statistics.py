from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from mixwise.data.pixels import ImageStream
from mixwise.mixture import Mixture
from mixwise.scoring.worker.running_statistics import StatisticsData

NAMES = ("dark", "light")


@pytest.fixture
def streams(tmp_path: Path) -> dict[str, ImageStream]:
    """Six images of one pixel a domain: 0 to 5, and 10 to 15."""
    found = {}
    for name, first in zip(NAMES, (0, 10), strict=True):
        files = [tmp_path / f"{name}.{end}" for end in ("f32", "u32")]
        np.arange(first, first + 6, dtype=np.float32).tofile(files[0])
        np.zeros(6, dtype=np.uint32).tofile(files[1])
        found[name] = ImageStream(
            pixels=files[0], labels=files[1], shape=(1, 1, 1), hashes={f"{name}.f32": name}
        )
    return found


def pixels(data: StatisticsData, *shares: float) -> list[list[float]]:
    batches = data.batches(Mixture(NAMES, shares), torch.device("cpu"))
    return [batch["pixel_values"].flatten().tolist() for batch in batches]


def test_batches_hold_the_mixture_and_are_always_the_same(streams: dict[str, ImageStream]) -> None:
    data = StatisticsData(streams, n_batches=2, batch_examples=4)
    found = pixels(data, 0.75, 0.25)
    assert [len(batch) for batch in found] == [4, 4]
    assert sorted(value >= 10 for batch in found for value in batch) == [False] * 6 + [True] * 2
    assert len({value for batch in found for value in batch}) == 8
    assert pixels(data, 0.75, 0.25) == found
    assert all(value >= 10 for batch in pixels(data, 0.0, 1.0) for value in batch)
    assert data.n_examples == 8


def test_other_images_or_batches_are_other_statistics(streams: dict[str, ImageStream]) -> None:
    renamed = {**streams, "light": streams["light"].model_copy(update={"hashes": {}})}
    made = [StatisticsData(s, n, 4) for s in (streams, renamed) for n in (2, 3)]
    assert len({data.fingerprint for data in made}) == 4

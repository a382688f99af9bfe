from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from tests.command_line import Cli


def test_units_of_an_image_classifier(tmp_path: Path, mixwise: Cli) -> None:
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    sizes = {"embedding_size": 4, "hidden_sizes": [4, 6], "depths": [1, 1]}
    config = ResNetConfig(**sizes, layer_type="basic", num_labels=3)
    ResNetForImageClassification(config).save_pretrained(tmp_path / "classifier")
    images = tmp_path / "images.npy"
    np.save(images, np.random.default_rng(0).normal(size=(20, 3, 32, 32)))
    arguments = ["units", "--classifier", tmp_path / "classifier", "--images"]
    code, out, err = mixwise(*arguments, images, "--json")
    assert code == 0, err
    [row] = json.loads(out)["models"]
    assert row["n_predictions"] == 20
    assert len(row["layers"]) == 6
    np.save(images, np.zeros((20, 32, 32)))
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "must have shape (n, channels, height, width), but got (20, 32, 32)" in err
    np.save(images, np.zeros((20, 32, 32, 3)))
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "the model cannot read an image of shape (32, 32, 3)" in err
    np.save(images, np.full((20, 3, 32, 32), "a"))
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "images.npy: must hold numbers, but its values are of type <U1" in err
    np.save(images, np.full((20, 3, 32, 32), np.nan))
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "images.npy: holds values that are no finite float32 numbers: give images" in err
    code, _, err = mixwise(*arguments, tmp_path / "none.npy")
    assert code == 1
    assert "none.npy: cannot be read" in err
    (tmp_path / "classifier" / "model.safetensors").unlink()
    code, _, err = mixwise(*arguments, images)
    assert code == 1
    assert "the classifier cannot be loaded" in err


def test_units_wants_a_study_or_a_classifier(finished: Path, mixwise: Cli) -> None:
    assert mixwise("units")[0] == 2
    assert mixwise("units", "--classifier", finished)[0] == 2
    alone = ("units", "--classifier", finished, "--images", finished)
    for option in (("--sequences", 5), ("--model", "base")):
        code, _, err = mixwise(*alone, *option)
        assert (code, "choose among what" in err) == (2, True)
    assert mixwise("units", finished, "--images", "x.npy")[0] == 2

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mixwise.errors import CheckpointError
from mixwise.models.heads import find_label_tensors

TEXT, IMAGE = "AutoModelForSequenceClassification", "AutoModelForImageClassification"
SIZES = {
    "vocab_size": 12,
    "hidden_size": 8,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 8,
}
OF_DISTILBERT = {"vocab_size": 12, "dim": 8, "hidden_dim": 8, "n_layers": 1, "n_heads": 2}
OF_RESNET = {"embedding_size": 8, "hidden_sizes": [8], "depths": [1], "layer_type": "basic"}
OF_CONVNEXT = {"hidden_sizes": [8], "depths": [1], "num_stages": 1}
OF_VIT = {**SIZES, "image_size": 8, "patch_size": 4}


def save_config(folder: Path, model_type: str, **settings: object) -> Path:
    from transformers import AutoConfig

    AutoConfig.for_model(model_type, **settings).save_pretrained(folder)
    return folder


@pytest.mark.parametrize(
    ("auto_class", "model_type", "sizes", "module"),
    [
        (TEXT, "bert", SIZES, "classifier"),
        (TEXT, "roberta", SIZES, "classifier.out_proj"),  # its head has two linear layers
        (TEXT, "electra", SIZES, "classifier.out_proj"),
        (TEXT, "distilbert", OF_DISTILBERT, "classifier"),
        (IMAGE, "resnet", OF_RESNET, "classifier.1"),
        (IMAGE, "convnext", OF_CONVNEXT, "classifier"),
        (IMAGE, "vit", OF_VIT, "classifier"),
    ],
)
@pytest.mark.parametrize("n_labels", [3, 8])  # 8: as many as a layer of the body has units
def test_they_are_those_that_grow_with_the_labels(
    tmp_path: Path,
    auto_class: str,
    model_type: str,
    sizes: dict[str, object],
    module: str,
    n_labels: int,
) -> None:
    folder = save_config(tmp_path, model_type, **sizes, num_labels=n_labels)
    found = find_label_tensors(folder, auto_class=auto_class)
    assert sorted(found) == [f"{module}.bias", f"{module}.weight"]


def test_a_model_whose_head_knows_no_labels_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = save_config(tmp_path, "bert", **SIZES)
    with pytest.raises(CheckpointError, match="no tensor changes with the number of labels"):
        find_label_tensors(folder, auto_class="AutoModel")


def test_a_head_whose_labels_are_columns_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build(folder: Path, *, more_labels: int, **_: object) -> torch.nn.Module:
        module = torch.nn.Module()
        module.register_parameter("head", torch.nn.Parameter(torch.zeros(4, 3 + more_labels)))
        return module

    monkeypatch.setattr("mixwise.models.heads.build_module", build)
    with pytest.raises(CheckpointError, match=r"`head`, of shape \(4, 3\), becomes \(4, 4\)"):
        find_label_tensors(tmp_path, auto_class=TEXT)

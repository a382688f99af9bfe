from __future__ import annotations

import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from tests.images import LABELS, SIDE, save_processor

from mixwise.data.image_processor import load_image_processor, open_image_encoder
from mixwise.data.labelled import write_examples
from mixwise.data.pixels import ImageEncoder
from mixwise.data.tokenising import Sides
from mixwise.errors import CheckpointError, DataError
from mixwise.label_heads import LabelHead
from mixwise.records.record import Document


def encoder(folder: Path, n_channels: int = 3, **settings: object) -> ImageEncoder:
    save_processor(folder, **settings)
    return ImageEncoder(load_image_processor(folder), LabelHead(LABELS), n_channels, folder)


def image(value: int, label: str = "disc") -> Document:
    return Document(
        f"hash {value}", "d", 0, label=label, image=Image.new("RGB", (9, 7), (value,) * 3)
    )


def test_pixels_are_written_as_the_processor_makes_them_and_read_by_place(tmp_path: Path) -> None:
    made = encoder(tmp_path)
    documents = [image(0), image(255), image(51, "bar")]
    sides = Sides(documents[:2], documents[2:])
    write_examples(tmp_path / "cache" / "a", sides, made, lambda n: None)
    hashes = {
        f"{side}{name}": "h" for side in ("train", "heldout") for name in (".f32", "_labels.u32")
    }
    stream = made.layout.stream(tmp_path / "cache" / "a", "train", hashes)
    rows = pickle.loads(pickle.dumps(stream.rows(1, None)))
    assert stream.n_rows(1) == 2
    assert rows.labels.tolist() == [1, 1]
    second = rows.chosen(np.array([1]))
    assert second.item(0)["pixel_values"].shape == (3, SIDE, SIDE)
    assert second.item(0)["pixel_values"] == pytest.approx(1)
    assert second.row_ids(0).tolist() == [1]
    heldout = made.layout.stream(tmp_path / "cache" / "a", "heldout", hashes).rows(1, None)
    assert heldout.item(0)["labels"] == 0
    assert heldout.item(0)["pixel_values"] == pytest.approx(-0.6)


def test_a_grey_model_gets_one_channel(tmp_path: Path) -> None:
    made = encoder(tmp_path, 1, image_mean=[0.0], image_std=[1.0])
    assert made.encode(Image.new("RGB", (5, 5), (51,) * 3)) == pytest.approx(0.2)
    with pytest.raises(CheckpointError, match=r"`num_channels` of config\.json must be 1"):
        encoder(tmp_path, 4)


def test_a_processor_that_keeps_sizes_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="must bring every image to one shape of 3 channel"):
        encoder(tmp_path, do_resize=False)


def test_other_rules_or_labels_are_other_examples(tmp_path: Path) -> None:
    made = [
        encoder(tmp_path),
        encoder(tmp_path, image_mean=[0.4] * 3),
        encoder(tmp_path, resample=0),
    ]
    made.append(ImageEncoder(load_image_processor(tmp_path), LabelHead(LABELS[::-1]), 3, tmp_path))
    assert len({one.fingerprint for one in made}) == 4


def test_an_unknown_label_names_the_image(tmp_path: Path) -> None:
    sides = Sides([image(0, "ring")], [])
    with pytest.raises(DataError, match="d: the label `ring` is none of the base's 2"):
        write_examples(tmp_path / "cache" / "a", sides, encoder(tmp_path), lambda n: None)


def test_a_name_of_two_outputs_is_no_label(tmp_path: Path) -> None:
    save_processor(tmp_path)
    names = ("crane", "dog", "crane")
    found = ImageEncoder(load_image_processor(tmp_path), LabelHead(names), 3, tmp_path)
    assert found.label(Document("hash", "d.jsonl", 1, label="dog")) == 1
    with pytest.raises(
        DataError, match=r"d\.jsonl:2: the label `crane` is that of several outputs"
    ):
        found.label(Document("hash", "d.jsonl", 2, label="crane"))


def test_a_base_without_a_processor_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"preprocessor_config\.json, but it is missing"):
        load_image_processor(tmp_path)


def test_a_processor_that_does_not_run_on_pillow_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    save_processor(tmp_path)
    other = SimpleNamespace(backend="torchvision")
    monkeypatch.setattr(
        "transformers.AutoImageProcessor.from_pretrained", lambda *given, **how: other
    )
    with pytest.raises(CheckpointError, match="does not run on Pillow"):
        load_image_processor(tmp_path)


def test_a_model_wrapped_from_timm_is_refused(tmp_path: Path) -> None:
    config = SimpleNamespace(model_type="timm_wrapper", num_channels=3)
    with pytest.raises(CheckpointError, match="wraps a model of timm"):
        open_image_encoder(tmp_path, config, LabelHead(LABELS))

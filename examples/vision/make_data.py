"""What the vision study trains on: emoji as five styles draw them, and a small classifier.

    pip install pillow==13.0.0 resvg_py==0.5.0
    python -m examples.vision.make_data [FOLDER]

The drawings come from npm packages (`benchmarks/truth/emoji.py` names them and their licences) and
stay out of the repository. The emoji are cut in three, so that no emoji stands on two sides: two
tenths for the base, five for the domains, three for the target, in a style that no domain holds.
The base is a ResNet of 80,000 parameters that has read its emoji as the domains' styles draw them.
"""

from __future__ import annotations

import shutil
import sys
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.truth.emoji import draw_emoji

if TYPE_CHECKING:
    from PIL.Image import Image

DOMAINS = {
    "google": "google",
    "twitter": "twitter",
    "openmoji": "openmoji",
    "outlines": "openmoji-black",
}
TARGET = "fluent"
PIXELS = 32
_BASE_TENTHS, _TRAIN_TENTHS = 2, 7  # up to where the base's and the domains' emoji go
_WIDTHS = [16, 32, 64]
_EPOCHS, _BATCH, _RATE = 4, 32, 2e-3


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawing, and where it goes.

    Args:
        place: Domain, target, or ``base``.
        label: Category of the emoji.
        name: Of its file.
        image: 32 × 32 pixels on white.
    """

    place: str
    label: str
    name: str
    image: Image


def main(folder: Path) -> None:
    """Write the image folders, and the base where it is not there."""
    drawings = list(cut(folder / "packages"))
    write_folders(drawings, folder / "data")
    make_base(folder / "base", [each for each in drawings if each.place == "base"])


def cut(packages: Path) -> Iterable[Drawing]:
    """The drawings of every emoji that all styles draw, each on one side.

    Args:
        packages: Where what is fetched goes.
    """
    for emoji in draw_emoji(packages, PIXELS):
        tenth = zlib.crc32(emoji.code.encode()) % 10
        if tenth >= _TRAIN_TENTHS:
            yield Drawing(TARGET, emoji.group, emoji.code, emoji.drawings[TARGET])
            continue
        for domain, style in DOMAINS.items():
            place = "base" if tenth < _BASE_TENTHS else domain
            name = f"{emoji.code}-{domain}" if place == "base" else emoji.code
            yield Drawing(place, emoji.group, name, emoji.drawings[style])


def write_folders(drawings: Sequence[Drawing], folder: Path) -> None:
    """An image folder for each domain and the target, anew."""
    shutil.rmtree(folder, ignore_errors=True)
    for each in drawings:
        if each.place == "base":
            continue
        place = folder / each.place / each.label
        place.mkdir(parents=True, exist_ok=True)
        each.image.save(place / f"{each.name}.png")
    for place in sorted(folder.iterdir()):
        print(f"{place}: {len(list(place.glob('*/*.png'))):,} drawings")


def make_base(folder: Path, drawings: Sequence[Drawing]) -> None:
    """A small ResNet that has read some drawings, with its image processor; always the same.

    Args:
        folder: Where it goes; left alone where it is there already.
        drawings: What it reads.
    """
    if (folder / "model.safetensors").is_file():
        return
    import torch
    from transformers import ResNetConfig, ResNetForImageClassification
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    labels = sorted({each.label for each in drawings})
    size = {"height": PIXELS, "width": PIXELS}
    processor = ViTImageProcessorPil(size=size)
    torch.manual_seed(0)
    model = ResNetForImageClassification(
        ResNetConfig(
            embedding_size=_WIDTHS[0],
            hidden_sizes=_WIDTHS,
            depths=[1] * len(_WIDTHS),
            layer_type="basic",
            downsample_in_first_stage=False,
            id2label=dict(enumerate(labels)),
            label2id={label: k for k, label in enumerate(labels)},
        )
    )
    pixels = processor([each.image for each in drawings], return_tensors="pt")["pixel_values"]
    answers = torch.tensor([labels.index(each.label) for each in drawings])
    optimiser = torch.optim.AdamW(model.parameters(), lr=_RATE)
    model.train()
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(drawings)).split(_BATCH):
            model(pixel_values=pixels[batch], labels=answers[batch]).loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    model.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    print(f"{folder}: {model.num_parameters():,} parameters, labels {', '.join(labels)}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)

"""Pico parts of image classification: drawings in folders, bases of three architectures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

SIDE = 16  # of what a model reads
LABELS = ("bar", "disc")
COLOURS = {"red": (200, 40, 40), "green": (40, 180, 60), "blue": (50, 60, 210)}
RECIPE = """\
base: base
task: image-classification
domains:
  red: {files: red}
  green: {files: green}
  blue: {files: blue}
horizon_examples: 64
heldout: {overlap: drop}
evaluation: {max_sequences: 8, batch_sequences: 3, batch_norm_batches: 3}
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
budget: 100
proxy: {answer: merged}
calibration: {mixtures: 0}
experts: {horizon_tokens: 32, halvings: 0}
engine: {workers: 1, threads: 1}
"""


def drawing(rng: np.random.Generator, label: str, colour: tuple[int, int, int]) -> Any:
    """A bar or a disc of about a colour on noise, 20 × 18 pixels."""
    from PIL import Image

    pixels = rng.integers(150, 256, (18, 20, 3))
    rows, columns = np.mgrid[:18, :20]
    y, x = rng.integers(6, 12), rng.integers(6, 14)
    inside = (rows - y) ** 2 + (columns - x) ** 2 < 20 if label == "disc" else abs(rows - y) < 2
    pixels[inside] = np.array(colour) + rng.integers(-30, 30)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def write_folders(folder: Path, n: int = 40) -> None:
    """An image folder for each colour."""
    for name, colour in COLOURS.items():
        rng = np.random.default_rng(len(name))
        for label in LABELS:
            (folder / name / label).mkdir(parents=True)
            for k in range(n // 2):
                drawing(rng, label, colour).save(folder / name / label / f"{k}.png")


def save_image_base(folder: Path, architecture: str, **settings: Any) -> None:
    """A classifier of a few thousand parameters, and its image processor."""
    from transformers import AutoConfig, AutoModelForImageClassification

    sizes: dict[str, Any] = {"image_size": SIDE}
    if architecture == "vit":
        sizes |= {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
        sizes |= {"intermediate_size": 32, "patch_size": 4}
    elif architecture == "convnext":
        sizes |= {"hidden_sizes": [8, 16], "depths": [1, 1], "num_stages": 2, "patch_size": 2}
    else:
        sizes |= {"hidden_sizes": [8, 16], "depths": [1, 1], "embedding_size": 8}
        sizes |= {"layer_type": "basic"}
    names = {"id2label": dict(enumerate(LABELS)), "label2id": {n: k for k, n in enumerate(LABELS)}}
    torch.manual_seed(0)
    config = AutoConfig.for_model(architecture, **{**sizes, **names, **settings})
    AutoModelForImageClassification.from_config(config).save_pretrained(folder)
    save_processor(folder)


def save_processor(folder: Path, **settings: Any) -> None:
    """A processor that scales to one size, as most do."""
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    size = {"height": SIDE, "width": SIDE}
    ViTImageProcessorPil(**{"size": size, **settings}).save_pretrained(folder)


def train_expert(base: Path, images: Path, folder: Path, n_steps: int = 4) -> None:
    """A few steps of SGD on an image folder, in batches of four, by a plain script."""
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    torch.manual_seed(1)
    model = AutoModelForImageClassification.from_pretrained(base).train()
    processor = AutoImageProcessor.from_pretrained(base, backend="pil")
    files = [images / label / f"{k}.png" for k in range(2 * n_steps) for label in LABELS]
    pixels = processor([Image.open(file) for file in files], return_tensors="pt")["pixel_values"]
    labels = torch.arange(len(files)) % len(LABELS)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.05)
    for step in range(n_steps):
        chosen = slice(4 * step, 4 * step + 4)
        model(pixel_values=pixels[chosen], labels=labels[chosen]).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(folder)

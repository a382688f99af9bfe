"""Classifier: prunable and redundant units of an image classifier, which belongs to no study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mixwise.data.arrays import NUMBERS, load_array
from mixwise.diagnostics.units.silencing import classes, measure_units
from mixwise.errors import CheckpointError, DataError, first_line
from mixwise.stages.units import UnitSettings, UnitsFound, find_layers

_BATCH_IMAGES = 64
_IMAGE_AXES = 4
_REMEDY = "give images saved as the model's `pixel_values`, with `numpy.save`"


def measure_classifier_units(folder: Path, images: Path, settings: UnitSettings) -> UnitsFound:
    """Measure the units of an image classifier.

    Args:
        folder: A model that `AutoModelForImageClassification` opens, in safetensors.
        images: A ``.npy`` file, shape ``(n, channels, height, width)``, prepared as the model
            wants its ``pixel_values``.
        settings: Draws.

    Returns:
        As `measure_study_units`, of one model.

    Raises:
        CheckpointError: If the folder holds no such model.
        DataError: If the file holds no such images, or none that the model reads.
        EvaluationError: If the model's units cannot be found or measured.
    """
    module = _load_classifier(folder)
    batches = torch.split(load_images(images), _BATCH_IMAGES)
    _require_read(module, batches[0][:1], images)
    layers = find_layers(module, settings, batches[0])
    units = measure_units(
        module, batches, layers, predict=classes, n_draws=settings.n_draws, seed=settings.seed
    )
    return UnitsFound(((str(folder), units),), settings.seed)


def _load_classifier(folder: Path) -> nn.Module:
    from transformers import AutoModelForImageClassification

    try:
        module: nn.Module = AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # whatever the architecture's own code raises
        raise CheckpointError(
            f"{folder}: the classifier cannot be loaded ({first_line(error)}): give a folder that "
            "`AutoModelForImageClassification` can open, in safetensors"
        ) from None
    return module.eval()


def _require_read(module: nn.Module, image: Tensor, path: Path) -> None:
    try:
        with torch.inference_mode():
            module(image)
    except Exception as error:  # whatever the architecture's own code raises
        raise DataError(
            f"{path}: the model cannot read an image of shape {tuple(image.shape[1:])} "
            f"({first_line(error)}): save them as the model's `pixel_values`, channels first"
        ) from None


def load_images(path: Path) -> Tensor:
    """Load images that a model can read, shape ``(n, channels, height, width)``.

    Raises:
        DataError: If the file holds no such array of finite numbers.
    """
    images = load_array(path, NUMBERS, _REMEDY)
    if images.ndim != _IMAGE_AXES or not images.size:
        raise DataError(
            f"{path}: images must have shape (n, channels, height, width), but got {images.shape}: "
            f"{_REMEDY}"
        )
    with np.errstate(over="ignore"):  # an infinity then, which is refused
        values = images.astype(np.float32)
    if not np.isfinite(values).all():
        raise DataError(f"{path}: holds values that are no finite float32 numbers: {_REMEDY}")
    return torch.from_numpy(values)

"""Classifier: prunable and redundant units of an image classifier, which belongs to no study."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from mixwise.diagnostics.units.silencing import classes, measure_units
from mixwise.errors import CheckpointError, DataError, first_line
from mixwise.stages.units import UnitSettings, UnitsFound, find_layers

_BATCH_IMAGES = 64
_IMAGE_AXES = 4
_NUMBERS = "biuf"  # numpy's kinds


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
    batches = torch.split(_load_images(images), _BATCH_IMAGES)
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


def _load_images(path: Path) -> Tensor:
    try:
        images = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read ({first_line(error)}): give a .npy file that you may read"
        ) from None
    is_array = isinstance(images, np.ndarray)
    if is_array and images.dtype.kind not in _NUMBERS:
        raise DataError(
            f"{path}: images must be numbers, but are of type {images.dtype}: save them as the "
            "model's `pixel_values`, with `numpy.save`"
        )
    if not is_array or images.ndim != _IMAGE_AXES or not len(images):
        shape = getattr(images, "shape", "several arrays")
        raise DataError(
            f"{path}: images must have shape (n, channels, height, width), but got {shape}: save "
            "them as the model's `pixel_values`, with `numpy.save`"
        )
    return torch.from_numpy(images.astype(np.float32))

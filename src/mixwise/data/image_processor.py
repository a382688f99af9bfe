"""Opens the image processor that a base brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixwise.data.pixels import ImageEncoder
from mixwise.errors import CheckpointError, MissingDependencyError, first_line
from mixwise.label_heads import LabelHead

FILE = "preprocessor_config.json"
_TIMM = "timm_wrapper"


def open_image_encoder(
    folder: Path, config: Any, head: LabelHead, *, trust_remote_code: bool = False
) -> ImageEncoder:
    """What makes examples of images.

    Args:
        folder: Of the base.
        config: Its configuration.
        head: The outputs that answer for the images.
        trust_remote_code: Whether code from the folder may run.

    Raises:
        CheckpointError: If the folder has no processor, or one that does not bring every image to
            one shape, or wraps a model of timm.
        MissingDependencyError: If Pillow is missing.
    """
    if config.model_type == _TIMM:
        raise CheckpointError(
            f"{folder}: wraps a model of timm (`model_type: {_TIMM}`), whose layers are not tried "
            "here: give a model of transformers' own, such as ResNet, ConvNeXt or ViT"
        )
    processor = load_image_processor(folder, trust_remote_code=trust_remote_code)
    return ImageEncoder(processor, head, int(getattr(config, "num_channels", 3)), folder)


def load_image_processor(folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The image processor of a folder, of transformers, on Pillow; see `open_image_encoder`."""
    try:
        import PIL  # noqa: F401  # transformers' own complaint names no extra of ours
    except ImportError:
        raise MissingDependencyError(
            f"{folder}: images need the package `pillow`: pip install 'mixwise[vision]'"
        ) from None
    from transformers import AutoImageProcessor

    if not (folder / FILE).is_file():
        raise CheckpointError(
            f"{folder}: a base that reads images needs its {FILE}, but it is missing: save its "
            "image processor there with `save_pretrained`"
        )
    try:
        found = AutoImageProcessor.from_pretrained(
            folder,
            local_files_only=True,
            trust_remote_code=trust_remote_code,
            backend="pil",
        )
    except Exception as error:  # whatever the processor's own code raises
        raise CheckpointError(
            f"{folder}: its image processor cannot be opened ({first_line(error)}): give a {FILE} "
            "that `AutoImageProcessor` can open"
        ) from None
    if getattr(found, "backend", "pil") != "pil":  # transformers takes another where it has none
        raise CheckpointError(
            f"{folder}: its image processor ({type(found).__name__}) does not run on Pillow, so "
            "that its pixels would depend on what is installed: give another in "
            f"{FILE}"
        )
    return found

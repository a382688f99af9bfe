"""Whether an expert was trained on the pixels that the base's image processor makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mixwise.data.image_processor import FILE, load_image_processor
from mixwise.errors import CheckpointError

_BACKENDS = ("Fast", "Pil")  # ends of names: the same processor, computed by another library


def require_same_processor(base: Path, expert: Path) -> None:
    """Refuse an expert whose image processor makes other pixels than the base's.

    Args:
        base: Folder of the base.
        expert: Folder of the expert; one without a processor is taken to have the base's.

    Raises:
        CheckpointError: If a processor cannot be opened; or names the first setting that differs.
    """
    if not (expert / FILE).is_file() or (expert / FILE).read_bytes() == (base / FILE).read_bytes():
        return
    ours, theirs = (_settings(folder) for folder in (base, expert))
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise CheckpointError(
                f"{expert}: `{key}` of {FILE} must be that of the base, {ours.get(key)!r}, by "
                f"which images are read, but is {theirs.get(key)!r}: use an expert that was "
                "trained on the same pixels"
            )


def _settings(folder: Path) -> dict[str, Any]:
    processor = load_image_processor(folder)
    kind = type(processor).__name__
    for end in _BACKENDS:
        kind = kind.removesuffix(end)
    settings = {k: v for k, v in processor.to_dict().items() if not k.startswith("_")}
    return {**settings, "image_processor_type": kind}

"""Which task a folder's data are for: labelled images, labelled texts, or texts alone.

Method:
    Folders of folders of images are labelled images. Rows with a text and a label are labelled
    texts where the base is a classifier; without a base, where all texts that were found are so.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from mixwise.data.formats import format_of
from mixwise.data.matching import is_data_name
from mixwise.data.rows import read_rows
from mixwise.errors import MixwiseError
from mixwise.records.decoding import SUFFIXES
from mixwise.tasks import TASKS

_HEADS: Mapping[str, str] = {
    "ForSequenceClassification": "text-classification",
    "ForImageClassification": "image-classification",
}


def is_image_folder(place: Path) -> bool:
    """Whether a folder holds folders of images, one a label, and two of them at least."""
    try:
        labels = [entry for entry in place.iterdir() if entry.is_dir()] if place.is_dir() else []
        labels = [label for label in labels if not label.name.startswith(".")]
        return len(labels) > 1 and all(_holds_images(label) for label in labels)
    except OSError:  # a folder that may not be read, such as `lost+found`
        return False


def _holds_images(label: Path) -> bool:
    files = [entry for entry in label.iterdir() if not entry.name.startswith(".")]
    return bool(files) and all(
        entry.is_file() and (entry.suffix.lower() in SUFFIXES or not is_data_name(entry.name))
        for entry in files
    )


def holds_labels(file: Path) -> bool:
    """Whether the first row of a data file is a text and a label under their usual names."""
    try:
        kind = format_of(file)
        row = None if kind == "text" else next(read_rows(file, kind, []), None)
    except MixwiseError:  # `check` will say what is wrong with the file
        return False
    if row is None:
        return False
    text, label = row.values.get("text"), row.values.get("label")
    is_label = isinstance(label, str | int) and not isinstance(label, bool) and label != ""
    return isinstance(text, str) and is_label


def task_of(base: Path | None, n_image_folders: int, labelled: Iterable[bool]) -> str:
    """Name of the task that a folder's data are for.

    Args:
        base: Folder of the base that was found.
        n_image_folders: Image folders that were found.
        labelled: Of each dataset of texts, whether it holds labels.
    """
    by_base = _task_of_base(base)
    if n_image_folders > 1 and by_base in (None, "image-classification"):
        return "image-classification"
    are_labelled = list(labelled)
    if len(are_labelled) > 1 and all(are_labelled) and by_base in (None, "text-classification"):
        return "text-classification"
    return next(iter(TASKS))


def _task_of_base(base: Path | None) -> str | None:
    """The task that a base is made for; None where it is not known."""
    if base is None:
        return None
    try:
        architectures = json.loads((base / "config.json").read_text())["architectures"]
        names = [str(name) for name in architectures]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    tasks = (task for name in names for end, task in _HEADS.items() if name.endswith(end))
    return next(tasks, next(iter(TASKS)) if names else None)

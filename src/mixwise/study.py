"""One folder that holds a whole study: recipe, experts, references, ledger, results.

Every file that is no checkpoint is written beside its place and moved there, so a killed process
leaves the old one or the new one. One process at a time may work in the folder.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mixwise.errors import ResourceError, StudyError
from mixwise.files import replace_file
from mixwise.ledger import Ledger
from mixwise.recipe import Recipe, load_recipe
from mixwise.shortages import explain_failed_write, explain_shortage

RECIPE_FILE = "recipe.yaml"
RECOMMENDATION_FILE = "recommendation.json"
REPORT_FILE = "report.html"
SEARCH_FILE = "search.json"
CALIBRATION_FILE = "calibration.json"
VALIDATION_FILE = "validation.json"
FINAL_FILE = "final.json"
NOTICES_FILE = "notices.json"
_STUDY_FILE = "study.json"
_LOCK_FILE = ".lock"
_LOCK_TRIES, _LOCK_SECONDS = 10, 0.05  # whoever asks for the holder has the lock for a moment


@dataclass(frozen=True, slots=True)
class Study:
    """A study folder.

    Args:
        folder: The folder.
        recipe_folder: Where the recipe's relative paths start from.
    """

    folder: Path
    recipe_folder: Path

    @classmethod
    def create(cls, folder: Path, recipe_file: Path) -> Study:
        """Make the folder of a study, or go on with the one that is there.

        The recipe is not written yet: `save_recipe` does that once it is known to fit.

        Raises:
            StudyError: If the folder holds something else.
            ResourceError: If it cannot be made.
        """
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder}: is a file, but a study is a folder: choose another name")
        is_ours = any((folder / name).is_file() for name in (_STUDY_FILE, ".lock"))
        if folder.is_dir() and any(folder.iterdir()) and not is_ours:
            raise StudyError(f"{folder}: holds files but no study: choose an empty or new folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_shortage(error, folder) or ResourceError(
                f"{folder}: cannot be made ({error}): choose another folder"
            ) from None
        return cls(folder, recipe_file.parent.resolve())

    def save_recipe(self, text: str) -> None:
        """Keep the recipe as given, and where its relative paths start from."""
        self.save_text(RECIPE_FILE, text)
        self.save_json(_STUDY_FILE, {"recipe_folder": str(self.recipe_folder)})

    @classmethod
    def open(cls, folder: Path) -> Study:
        """Open an existing study.

        Raises:
            StudyError: If the folder is none.
        """
        try:
            recipe_folder = Path(json.loads((folder / _STUDY_FILE).read_text())["recipe_folder"])
        except (OSError, ValueError, TypeError, KeyError):
            raise StudyError(_why_none(folder)) from None
        return cls(folder, recipe_folder)

    def require_recipe_folder(self) -> None:
        """Refuse a study whose inputs cannot be found, before one is looked for elsewhere.

        Raises:
            StudyError: If the folder that its relative paths start from is not there.
        """
        if not self.recipe_folder.is_dir():
            raise StudyError(
                f"{self.folder / _STUDY_FILE}: `recipe_folder` must be the folder of the recipe, "
                f"where its relative paths start from, but {self.recipe_folder} is not there: put "
                "it back, or write its new place into that file, or run `mixwise run RECIPE "
                f"--study {self.folder}` with the recipe where it is now"
            )

    @property
    def holder(self) -> str | None:
        """The number of the process that works in the study; None when nobody does."""
        return _holder(self.folder)

    @property
    def recipe(self) -> Recipe:
        """The recipe of the study."""
        return load_recipe(self.folder / RECIPE_FILE)

    def expert_folder(self, domain: str) -> Path:
        """Folder of the expert of a domain."""
        return self.folder / "experts" / domain

    @property
    def store_folder(self) -> Path:
        """Folder of the experts' task vectors, which are made anew when it is deleted."""
        return self.folder / "task_vectors"

    def reference_folder(self, fingerprint: str) -> Path:
        """Folder of a reference, by the fingerprint of its run."""
        return self.folder / "references" / fingerprint[:16]

    def save_heldout(self, name: str, tokens: npt.NDArray[np.int64]) -> None:
        """Keep what a text set is scored on, ``heldout/NAME.npy``, for anyone to measure again.

        Args:
            name: Name of the domain or evaluation set.
            tokens: Its held-out sequences, shape ``(n, sequence_length)``.
        """
        folder = self.folder / "heldout"
        partial = folder / f".{name}.partial.npy"
        try:
            folder.mkdir(exist_ok=True)
            np.save(partial, tokens)
            partial.replace(folder / f"{name}.npy")
        except OSError as error:
            raise explain_failed_write(error, folder) from None

    def open_ledger(self, *, read_only: bool = False) -> Ledger:
        """The study's ledger."""
        return Ledger(self.folder / "ledger.sqlite", read_only=read_only)

    def load_json(self, name: str) -> Any | None:
        """Content of one of the study's JSON files, or None when it is not there yet."""
        try:
            return json.loads((self.folder / name).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None

    def save_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one of the study's JSON files, at once or not at all."""
        self.save_text(name, json.dumps(content, indent=1, ensure_ascii=False) + "\n")

    def save_text(self, name: str, text: str) -> None:
        """Write one of the study's text files, at once or not at all.

        Raises:
            ResourceError: If it cannot be written, as on a full disk.
        """
        replace_file(self.folder / name, text)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the study; the lock goes with the process that holds it, however it ends.

        Raises:
            StudyError: If another process holds it.
        """
        try:
            opened = (self.folder / _LOCK_FILE).open("a+")
        except OSError as error:
            raise explain_failed_write(error, self.folder) from None
        with opened as file:
            if not _try_lock(file):
                file.seek(0)
                holder = file.read().strip() or "unknown"
                raise StudyError(
                    f"{self.folder}: another mixwise (process {holder}) is working in "
                    "this study: wait until it has ended, or stop it"
                )
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield


def _try_lock(file: IO[str]) -> bool:
    """Take a lock; someone may have it for no more than the moment of a question."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_SECONDS)
        else:
            return True
    return False


def _holder(folder: Path) -> str | None:
    """The number of the process that holds a folder's lock, or None."""
    try:
        file = (folder / _LOCK_FILE).open()
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read().strip() or "unknown"
    return None


def _why_none(folder: Path) -> str:
    """Why a folder cannot be opened as a study."""
    holder = _holder(folder)
    if holder is not None:
        return (
            f"{folder}: a run has just begun here (process {holder}) and is still checking its "
            "recipe, so there is nothing to read yet: ask again in a moment"
        )
    if (folder / _LOCK_FILE).is_file():
        return (
            f"{folder}: a run has begun here, but ended before its recipe was checked: begin again "
            f"with `mixwise run RECIPE --study {folder}`"
        )
    return f"{folder}: no study here: make one with `mixwise run RECIPE --study {folder}`"

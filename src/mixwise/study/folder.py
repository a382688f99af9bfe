"""One folder that holds a whole study: recipe, experts, references, ledger, results.

Every file that is no checkpoint is written beside its place and moved there, so a killed process
leaves the old one or the new one. One process at a time may work in the folder; several may each
train some of its experts.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from mixwise.errors import DamagedError, MixwiseWarning, ResourceError, StudyError, printable, shown
from mixwise.files import CONTENT_HASH, hash_file, load_sealed, read_bytes, replace_file, seal
from mixwise.ledger import Ledger
from mixwise.recipe import Recipe, add_domains, load_recipe
from mixwise.shortages import explain_failed_write, explain_shortage
from mixwise.study.column_domains import find_values
from mixwise.study.kept_runs import KeptRuns, kept_from_json

RECIPE_FILE = "recipe.yaml"
RECOMMENDATION_FILE = "recommendation.json"
REPORT_FILE = "report.html"
SEARCH_FILE = "search.json"
SURFACE_FILE = "surface.json"
SNIPPETS_FILE = "snippets.json"
CALIBRATION_FILE = "calibration.json"
VALIDATION_FILE = "validation.json"
FINAL_FILE = "final.json"
DIAGNOSIS_FILE = "diagnose.json"
STUDY_FILE = "study.json"
LEDGER_FILE = "ledger.sqlite"
_VERSION = 1  # of study.json
_STAGES = {  # the command that makes a result
    SEARCH_FILE: "search",
    SURFACE_FILE: "search",
    SNIPPETS_FILE: "search",
    CALIBRATION_FILE: "search",
    RECOMMENDATION_FILE: "search",
    VALIDATION_FILE: "validate",
    FINAL_FILE: "train",
    DIAGNOSIS_FILE: "diagnose",
}
RESULT_FILES = tuple(_STAGES)
NOTICES_FILE = "notices.json"
_LOCK_FILE = ".lock"
_SHARERS = "of `experts --only`"  # who share the lock, and leave no number
_LOCK_TRIES, _LOCK_SECONDS = 10, 0.05  # whoever asks for the holder has the lock for a moment


@dataclass(frozen=True, slots=True)
class StudyFolder:
    """A study folder.

    Args:
        folder: The folder.
        recipe_folder: Where the recipe's relative paths start from.
    """

    folder: Path
    recipe_folder: Path

    @classmethod
    def create(cls, folder: Path, recipe_file: Path) -> StudyFolder:
        """Make the folder of a study, or go on with the one that is there.

        The recipe is not written yet: `save_recipe` does that once it is known to fit.

        Raises:
            StudyError: If the folder holds something else.
            ResourceError: If it cannot be made.
        """
        if folder.exists() and not folder.is_dir():
            raise StudyError(f"{folder}: is a file, but a study is a folder: choose another name")
        is_ours = any((folder / name).is_file() for name in (STUDY_FILE, ".lock"))
        if folder.is_dir() and any(folder.iterdir()) and not is_ours:
            raise StudyError(f"{folder}: holds files but no study: choose an empty or new folder")
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise explain_shortage(error, folder) or ResourceError(
                f"{folder}: cannot be made ({error}): choose another folder"
            ) from None
        return cls(folder, recipe_file.parent.resolve())

    def save_recipe(
        self,
        text: str,
        *,
        verify: bool = False,
        values: Mapping[str, str] | None = None,
        problem: Mapping[str, Any] | None = None,
        kept: KeptRuns | None = None,
    ) -> None:
        """Keep the recipe as given, and where its relative paths start from.

        Args:
            text: The recipe.
            verify: Whether verification was asked for besides.
            values: Values of its ``domains_from``, by the domains that they name.
            problem: What is kept of the problem that it asks about, where that is Python's.
            kept: Runs of another study that are gone on with.
        """
        self.save_text(RECIPE_FILE, text)
        content = {
            "version": _VERSION,
            "recipe_folder": str(self.recipe_folder),
            "recipe": hash_file(self.folder / RECIPE_FILE),
            "verify": verify,
            "domains_from": dict(values or {}),
            **({} if problem is None else {"problem": dict(problem)}),
            **({} if kept is None else {"kept": kept.to_json()}),
        }
        self.save_json(STUDY_FILE, content)

    @classmethod
    def open(cls, folder: Path) -> StudyFolder:
        """Open an existing study.

        Raises:
            StudyError: If the folder is none, or its ``study.json`` of another version.
            DamagedError: If that file is not what was written.
        """
        content = _load_study(folder)
        if content is None:
            raise StudyError(_why_none(folder))
        return cls(folder, Path(content["recipe_folder"]))

    def require_there(self) -> None:
        """Refuse a folder that is gone, as where its disk was unmounted.

        Raises:
            FileNotFoundError: Names its file of facts.
        """
        (self.folder / STUDY_FILE).stat()

    @property
    def recipe_hash(self) -> str | None:
        """Hash of the recipe that the study was made with; None in a study of an older mixwise."""
        return (_load_study(self.folder) or {}).get("recipe")

    @property
    def held(self) -> Mapping[str, Any] | None:
        """Content of the study's ``study.json``; None where there is none yet."""
        return _load_study(self.folder)

    @property
    def kept(self) -> KeptRuns | None:
        """Runs of another study that this one goes on with; None where there are none."""
        content = (self.held or {}).get("kept")
        return None if content is None else kept_from_json(content, str(self.folder / STUDY_FILE))

    def require_recipe_folder(self) -> None:
        """Refuse a study whose inputs cannot be found, before one is looked for elsewhere.

        Raises:
            StudyError: If the folder that its relative paths start from is not there.
        """
        try:
            is_there = self.recipe_folder.is_dir()
        except OSError:  # a path that is too long
            is_there = False
        if not is_there:
            raise StudyError(
                f"{self.folder / STUDY_FILE}: `recipe_folder` must be the folder of the recipe, "
                f"where its relative paths start from, but {printable(str(self.recipe_folder))} is "
                "not there: put "
                f"it back, or run `mixwise run RECIPE --study {self.folder}` with the recipe where "
                "it is now"
            )

    @property
    def holder(self) -> str | None:
        """The number of the process that works in the study; None when nobody does."""
        return _holder(self.folder)

    @property
    def is_of_problem(self) -> bool:
        """Whether it asks about a problem, whose functions are Python's, and has no recipe."""
        return "problem" in (_load_study(self.folder) or {})

    @property
    def recipe(self) -> Recipe:
        """The recipe of the study; one that was edited in the folder is taken as it is, and said.

        Raises:
            RecipeError: If it cannot be read.
            StudyError: If the study is of a problem, which has none.
        """
        path = self.folder / RECIPE_FILE
        study = _load_study(self.folder) or {}
        if "problem" in study:
            raise StudyError(
                f"{self.folder}: is a study of the problem `{study['problem']['name']}`, whose "
                "functions are Python's: open it there, with `ProblemStudy.open`"
            )
        recipe = load_recipe(path, verify=bool(study.get("verify")))
        values = study.get("domains_from", {})
        if self.recipe_hash not in (None, hash_file(path)):
            warnings.warn(
                f"{path}: is not the recipe that the study was made with: it is taken as it is "
                f"now; to go on with the old one, run `mixwise run RECIPE --study {self.folder}`",
                MixwiseWarning,
                stacklevel=2,
            )
            values = find_values(recipe, self.recipe_folder, None)
        return add_domains(recipe, values, str(path))

    def expert_folder(self, domain: str) -> Path:
        """Folder of the expert of a domain."""
        return self.experts_folder / domain

    @property
    def experts_folder(self) -> Path:
        """Folder of all experts."""
        return self.folder / "experts"

    @property
    def gradients_folder(self) -> Path:
        """Folder of the domains' gradients, removed once the experts are made of them."""
        return self.folder / "gradients"

    @property
    def store_folder(self) -> Path:
        """Folder of the experts' task vectors, which are made anew when it is deleted."""
        return self.folder / "task_vectors"

    @property
    def predictions_folder(self) -> Path:
        """Folder of the experts' token likelihoods, which are read anew when it is deleted."""
        return self.folder / "predictions"

    def reference_folder(self, fingerprint: str) -> Path:
        """Folder of a reference, by the fingerprint of its run."""
        return self.folder / "references" / fingerprint[:16]

    def save_heldout(self, name: str, tokens: npt.NDArray[np.int64]) -> str:
        """Keep what a text set is scored on, ``heldout/NAME.npy``, for anyone to measure again.

        Args:
            name: Name of the domain or evaluation set.
            tokens: Its held-out rows, filled with 0 behind the end of a shorter one, ``(n, L)``.

        Returns:
            Hash of the file.
        """
        folder = self.folder / "heldout"
        partial = folder / f".{name}.partial.npy"
        try:
            folder.mkdir(exist_ok=True)
            np.save(partial, tokens)
            digest = hash_file(partial)
            partial.replace(folder / f"{name}.npy")
        except OSError as error:
            raise explain_failed_write(error, folder) from None
        return digest

    def open_ledger(self, *, read_only: bool = False) -> Ledger:
        """The study's ledger; one that is gone begins anew, and that is said."""
        path = self.folder / LEDGER_FILE
        is_gone = not path.is_file() or path.stat().st_size == 0
        if is_gone and any((self.folder / name).is_file() for name in RESULT_FILES):
            warnings.warn(
                f"{path}: is missing or empty, but the study has results: everything is evaluated "
                "anew, and nothing is trained again",
                MixwiseWarning,
                stacklevel=2,
            )
        return Ledger(path, read_only=read_only)

    def load_json(self, name: str) -> Any | None:
        """Content of one of the study's results, or None when it is not there yet.

        Raises:
            DamagedError: If it is not what was written.
        """
        stage = _STAGES.get(name, "run")
        remedy = f"`mixwise {stage} {self.folder}` makes it anew (or delete it)"
        try:
            return load_sealed(self.folder / name, remedy)
        except FileNotFoundError:
            return None

    def remove_damaged(self, names: Iterable[str]) -> None:
        """Remove those of some results that are damaged; the caller makes them anew."""
        for name in names:
            if self._tell_damaged(name):
                (self.folder / name).unlink()

    def _tell_damaged(self, name: str) -> bool:
        """Whether a file that is about to be made anew is damaged, which is said."""
        path = self.folder / name
        try:
            load_sealed(path, "it is made anew")
        except FileNotFoundError:
            return False
        except DamagedError as error:
            warnings.warn(str(error), MixwiseWarning, stacklevel=4)
            return True
        return False

    def save_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one of the study's JSON files, at once or not at all; says if the old is damaged.

        Raises:
            ResourceError: If it cannot be written, as on a full disk.
        """
        text = seal(content)
        self._tell_damaged(name)
        self.save_text(name, text)

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
            if not _try_lock(file, fcntl.LOCK_EX):
                raise _held_by_another(self.folder, file)
            file.truncate(0)
            file.write(str(os.getpid()))
            file.flush()
            yield

    @contextmanager
    def share(self) -> Iterator[None]:
        """Hold the study beside others that do the same, each to train experts of its own.

        Raises:
            StudyError: If a process holds it alone.
        """
        try:
            opened = (self.folder / _LOCK_FILE).open("a+")
        except OSError as error:
            raise explain_failed_write(error, self.folder) from None
        with opened as file:
            if not _try_lock(file, fcntl.LOCK_SH):
                raise _held_by_another(self.folder, file)
            yield


def _load_study(folder: Path) -> dict[str, Any] | None:
    """Content of ``study.json``, or None when there is none.

    Raises:
        StudyError: If it is of another version.
        DamagedError: If it is not what was written.
    """
    path = folder / STUDY_FILE
    try:
        text = read_bytes(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    old = _parse_old(text)
    if old is not None:
        return old
    remedy = f"restore it, or run `mixwise run RECIPE --study {folder}`, which makes it anew"
    content = load_sealed(path, remedy)
    version = content.get("version")
    if version != _VERSION:
        raise StudyError(
            f"{path}: the study has version {shown(version)}, but this mixwise reads version "
            f"{_VERSION}: use the mixwise that made it"
        )
    if odd := _odd_key(content):
        raise DamagedError(f"{path}: is damaged (`{odd}` is missing or no such thing): {remedy}")
    return content


def _odd_key(content: Mapping[str, Any]) -> str | None:
    """The first key that does not hold what it must; whoever has made the file gave it its hash."""
    values = content.get("domains_from", {})
    is_text_map = isinstance(values, dict) and all(isinstance(v, str) for v in values.values())
    problem = content.get("problem", {"name": ""})
    sound = {
        "recipe_folder": isinstance(content.get("recipe_folder"), str),
        "recipe": isinstance(content.get("recipe", ""), str),
        "verify": isinstance(content.get("verify", False), bool),
        "domains_from": is_text_map,
        "problem": isinstance(problem, dict) and isinstance(problem.get("name"), str),
    }
    return next((key for key, is_sound in sound.items() if not is_sound), None)


def _parse_old(text: bytes) -> dict[str, Any] | None:
    """Content of the file of a mixwise that knew neither versions nor hashes, or None."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    is_old = isinstance(content, dict) and not {"version", CONTENT_HASH} & content.keys()
    return content if is_old and isinstance(content.get("recipe_folder"), str) else None


def _try_lock(file: IO[str], kind: int) -> bool:
    """Take a lock; someone may have it for no more than the moment of a question."""
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(file, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_SECONDS)
        else:
            return True
    return False


def _held_by_another(folder: Path, file: IO[str]) -> StudyError:
    return StudyError(
        f"{folder}: another mixwise (process {_name_holder(file)}) is working in this study: wait "
        "until it has ended, or stop it"
    )


def _holder(folder: Path) -> str | None:
    """The number of the process that holds a folder's lock, or None."""
    try:
        file = (folder / _LOCK_FILE).open()
    except OSError:
        return None
    with file:
        for kind in (fcntl.LOCK_EX, fcntl.LOCK_SH):
            try:
                fcntl.flock(file, kind | fcntl.LOCK_NB)
            except BlockingIOError:
                return _name_holder(file)
            except OSError:  # a network's disk, where who holds a file alone must write it
                continue
            break
    return None


def _name_holder(file: IO[str]) -> str:
    """Whoever holds a lock that was refused: a number, or that it is shared."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        file.seek(0)
        return file.read().strip() or "unknown"
    return _SHARERS


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

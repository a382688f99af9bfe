"""What a study keeps of its problem, so that another problem is noticed when it is reopened.

Method:
    Kept are name and version, a hash of each function's source, the base's tensors and its values
    of every metric. With a version, that tells alone whether the functions compute the same, and a
    changed source is only said; without one, a changed source is refused. Base and values are
    computed again at every opening, which notices changes that no source shows, such as other data.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.numpy import load_file, save
from torch import Tensor

from mixwise.errors import DamagedError, MixwiseWarning, RecipeError, StudyError
from mixwise.files import hash_file, replace_file
from mixwise.models.checkpoint import FULL_FILE
from mixwise.problem.base import TriedBase, require_measured_anew, try_base
from mixwise.problem.graphs import warn_of_cut_graphs
from mixwise.problem.problem import Problem
from mixwise.problem.question import ProblemQuestion
from mixwise.problem.sources import source_hash
from mixwise.problem.states import save_state
from mixwise.recipe import hash_section
from mixwise.study.folder import StudyFolder

BASE_FOLDER = "base"
_VALUES = "values.safetensors"  # of the base, in its folder
_RELATIVE, _ABSOLUTE = 1e-3, 1e-5  # by which values may differ on another machine


@dataclass(frozen=True, slots=True)
class ProblemRecord:
    """What ``study.json`` holds of a problem.

    Args:
        name: Its name.
        version: Its version; None where sources tell.
        sources: Hash of each function's source, empty where it cannot be read.
        lengths: Examples of each evaluation set.
        files: Hash of each file of the base's folder.
    """

    name: str
    version: str | None
    sources: Mapping[str, str]
    lengths: Mapping[str, int]
    files: Mapping[str, str]

    @property
    def keys(self) -> dict[str, str]:
        """What tells of each function that it computes the same."""
        if self.version is not None:
            return {f: f"{self.name} version {self.version}, {f}" for f in self.sources}
        return dict(self.sources)

    @property
    def evaluation_key(self) -> str:
        """Changes with what `evaluate` and `recalibrate` compute."""
        return hash_section(self.keys["evaluate"], self.keys.get("recalibrate", "none"))


def sources_of(problem: Problem) -> dict[str, str]:
    """Hash of each function's source.

    Raises:
        RecipeError: If one cannot be read and the problem has no version.
    """
    found = {name: source_hash(function) for name, function in problem.functions.items()}
    unread = [name for name, source in found.items() if source is None]
    if unread and problem.version is None:
        raise RecipeError(
            f"problem `{problem.name}`: the source of `{unread[0]}` cannot be read, so that a "
            "change of it would not be noticed: give the problem a `version`, or define the "
            "function in a file"
        )
    return {name: source or "" for name, source in found.items()}


def load_record(study: StudyFolder) -> ProblemRecord | None:
    """What a study holds of its problem; None where it is new.

    Raises:
        StudyError: If it is a study of a recipe.
    """
    held = study.held
    if held is None:
        return None
    if "problem" not in held:
        raise StudyError(
            f"{study.folder}: is a study of a recipe, and not of a problem: choose another folder"
        )
    return ProblemRecord(**held["problem"])


def open_record(study: StudyFolder, question: ProblemQuestion, *, read_only: bool) -> ProblemRecord:
    """Try the base out; keep it in the folder of a new study, and compare it in an old one.

    Args:
        study: The study's folder, which is held.
        question: The problem and what is asked of it.
        read_only: Whether functions are compared by their sources alone, and nothing is called.

    Raises:
        StudyError: If the study is of another problem; names what differs.
        CheckpointError, EvaluationError: See `try_base`.
    """
    problem, known = question.problem, load_record(study)
    sources = sources_of(problem)
    if known is not None:
        _require_same_functions(study, problem, known, sources)
    if read_only:
        if known is None:
            raise StudyError(f"{study.folder}: nothing to read yet: open it for writing first")
        _require_same_sets(study, problem, known)
        return known
    tried = try_base(problem)
    if known is None:
        require_measured_anew(problem)
        warn_of_cut_graphs(problem)
        return _keep(study, problem, sources, tried)
    _require_same_base(study, problem, known, tried)
    return known


def _keep(
    study: StudyFolder, problem: Problem, sources: Mapping[str, str], tried: TriedBase
) -> ProblemRecord:
    folder = study.folder / BASE_FOLDER
    save_state(tried.module, folder)
    replace_file(folder / _VALUES, save(dict(tried.values)))
    files = {name: hash_file(folder / name) for name in (FULL_FILE, _VALUES)}
    return ProblemRecord(problem.name, problem.version, sources, dict(tried.lengths), files)


def save_record(study: StudyFolder, question: ProblemQuestion, record: ProblemRecord) -> None:
    """Keep what is asked and of which problem; with that the study is one."""
    study.save_recipe(question.to_yaml(), problem=asdict(record))


def _require_same_functions(
    study: StudyFolder, problem: Problem, known: ProblemRecord, sources: Mapping[str, str]
) -> None:
    for what, was, now in (
        ("name", known.name, problem.name),
        ("version", known.version, problem.version),
    ):
        if was != now:
            raise StudyError(
                f"{study.folder}: is a study of a problem whose {what} is `{was}`, but got "
                f"`{now}`: use a new study folder"
            )
    if known.sources.keys() != sources.keys():
        [first, *_] = sorted(known.sources.keys() ^ sources.keys())
        raise StudyError(
            f"{study.folder}: the study was made with{'' if first in known.sources else 'out'} "
            f"`{first}`: use a new study folder"
        )
    changed = [name for name in sources if sources[name] != known.sources[name]]
    if changed and problem.version is None:
        raise StudyError(
            f"{study.folder}: `{changed[0]}` of problem `{problem.name}` is not the one that the "
            "study was made with (its source, or a value or function that it reads, differs): use "
            "a new study folder, or put it back"
        )
    if changed:
        warnings.warn(
            f"{study.folder}: the source of {', '.join(f'`{name}`' for name in changed)} has "
            f"changed, but the version of problem `{problem.name}` has not, so it is taken to "
            "compute the same: raise `version` where it does not",
            MixwiseWarning,
            stacklevel=4,
        )


def _require_same_sets(study: StudyFolder, problem: Problem, known: ProblemRecord) -> None:
    """Refuse metrics of sets that were never measured, where nothing is measured now."""
    changed = sorted(set(problem.set_names) ^ known.lengths.keys())
    if changed:
        raise StudyError(
            f"{study.folder}: metrics of set `{changed[0]}` are not measured in the study, or not "
            "asked for now: use a new study folder, or put them back"
        )


def _require_same_base(
    study: StudyFolder, problem: Problem, known: ProblemRecord, tried: TriedBase
) -> None:
    folder = study.folder / BASE_FOLDER
    for name, digest in known.files.items():
        if not (folder / name).is_file() or hash_file(folder / name) != digest:
            raise DamagedError(
                f"{folder / name}: is missing, or not what was written: restore it, or use a new "
                "study folder"
            )
    kept, found = _load(folder / FULL_FILE, framework="pt"), tried.module.state_dict()
    for name in {**kept, **found}:
        if name not in kept or name not in found or not _is_same(kept[name], found[name]):
            raise StudyError(
                f"{study.folder}: `build` of problem `{problem.name}` makes another base than the "
                f"study was made with (tensor `{name}`): use a new study folder, or put it back"
            )
    values = _load(folder / _VALUES, framework="np")
    for name, measured in tried.values.items():
        before = values.get(name)
        if before is None or before.shape != measured.shape:
            is_same = False
        else:
            is_same = np.allclose(before, measured, rtol=_RELATIVE, atol=_ABSOLUTE)
        if not is_same:
            raise StudyError(
                f"{study.folder}: `evaluate` of problem `{problem.name}` gives other values of "
                f"`{name}` for the base than when the study was made: its data have changed; use "
                "a new study folder, or put them back"
            )


def _is_same(kept: Tensor, found: Tensor) -> bool:
    return kept.dtype == found.dtype and torch.equal(kept, found.cpu())


def _load(file: Path, *, framework: str) -> dict[str, Any]:
    from safetensors.torch import load_file as load_tensors

    try:
        return dict(load_tensors(file) if framework == "pt" else load_file(file))
    except (SafetensorError, OSError) as error:  # its hash was right a moment ago
        raise DamagedError(f"{file}: cannot be read ({error}): use a new study folder") from None

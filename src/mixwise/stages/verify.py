"""Verify: read every file and row that the study's results rest on, and compare their hashes.

Nothing is remembered from earlier readings, nothing is repaired, and nothing is written: what is
found wrong is named, with what to do about it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixwise.data.token_cache import check_cached
from mixwise.errors import MixwiseError, MixwiseWarning
from mixwise.files import hash_file
from mixwise.ledger import check_ledger
from mixwise.merging.task_vectors.store import damage_of, find_damaged
from mixwise.scoring.token_likelihoods import load_likelihoods
from mixwise.study.folder import (
    LEDGER_FILE,
    RECIPE_FILE,
    RECOMMENDATION_FILE,
    REPORT_FILE,
    RESULT_FILES,
    SEARCH_FILE,
    STUDY_FILE,
    StudyFolder,
)
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.result_files import Result, load_result
from mixwise.study.results import (
    Recommendation,
    SearchFound,
)
from mixwise.training.job import RUN_FILE, load_record
from mixwise.training.run_files import require_unchanged

State = Literal["right", "wrong", "missing", "not recorded"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was found of one thing.

    Args:
        what: A file, a folder, or an input of the recipe.
        state: Whether it is what was written or used; ``not recorded`` where nothing vouches.
        advice: What is wrong and what to do; empty where it is right.
    """

    what: str
    state: State
    advice: str = ""


def verify_study(study: StudyFolder, settings: Settings) -> tuple[Finding, ...]:
    """Check a study, and the data, base and token cache that it rests on.

    Args:
        study: The study, opened.
        settings: Where its recipe's paths start from, and where the token cache lies.

    Returns:
        A finding for each thing that is there or should be, in the order of the folder.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", MixwiseWarning)  # each has a finding of its own
        return (
            *_recipe(study),
            *_results(study),
            *_ledger(study.folder / LEDGER_FILE),
            *_runs(study),
            *_store(study),
            *_predictions(study.predictions_folder),
            *_heldout(study),
            *_inputs(study, settings),
        )


def _checked(what: str, check: Callable[[], object]) -> Finding:
    try:
        check()
    except MixwiseError as error:
        return Finding(what, "wrong", str(error))
    return Finding(what, "right")


def _recipe(study: StudyFolder) -> Iterator[Finding]:
    yield Finding(STUDY_FILE, "right")  # the study is open
    noted = study.recipe_hash
    if noted is None:
        yield Finding(RECIPE_FILE, "not recorded", "the study is of an older mixwise")
    elif not (study.folder / RECIPE_FILE).is_file():
        yield Finding(RECIPE_FILE, "missing", f"run `mixwise run RECIPE --study {study.folder}`")
    elif hash_file(study.folder / RECIPE_FILE) != noted:
        advice = "it is not the recipe that the study was made with: restore it, or run it again"
        yield Finding(RECIPE_FILE, "wrong", advice)
    else:
        yield Finding(RECIPE_FILE, "right")


def _results(study: StudyFolder) -> Iterator[Finding]:
    for name in RESULT_FILES:
        if (study.folder / name).exists():
            yield _checked(name, lambda name=name: study.load_json(name))  # type: ignore[misc]
    if not (study.folder / RECOMMENDATION_FILE).exists() and (study.folder / SEARCH_FILE).exists():
        advice = f"run `mixwise search {study.folder}`, which makes it"
        yield Finding(RECOMMENDATION_FILE, "missing", advice)
    if (study.folder / REPORT_FILE).exists():
        advice = f"`mixwise report {study.folder}` makes it anew"
        yield Finding(REPORT_FILE, "not recorded", advice)


def _ledger(path: Path) -> Iterator[Finding]:
    if not path.is_file() or not path.stat().st_size:
        advice = "restore it, or go on: everything is evaluated anew, nothing is trained again"
        yield Finding(path.name, "missing", advice)
        return
    try:
        n_rows, damaged = check_ledger(path)
    except MixwiseError as error:
        yield Finding(path.name, "wrong", str(error))
        return
    advice = "restore the file, or go on: the next command takes the row out and measures it anew"
    yield Finding(f"{path.name}: {n_rows - len(damaged)} rows", "right")
    for fingerprint in damaged:
        yield Finding(f"{path.name}: row {fingerprint[:16]}", "wrong", advice)


def _runs(study: StudyFolder) -> Iterator[Finding]:
    for kind in ("experts", "references"):
        for folder in sorted((study.folder / kind).glob("*/")):
            yield _run(f"{kind}/{folder.name}", folder)


def _run(what: str, folder: Path) -> Finding:
    try:
        record = load_record(folder)
        if record is None:
            advice = "it is not finished: run `mixwise run` again, which goes on with it"
            return Finding(f"{what}/{RUN_FILE}", "missing", advice)
        if not record.files:
            advice = "it is of an older mixwise: the next command takes its files as they are"
            return Finding(what, "not recorded", advice)
        require_unchanged(folder, record)
    except MixwiseError as error:
        return Finding(what, "wrong", str(error))
    return Finding(f"{what}: {len(record.files)} files", "right")


def _store(study: StudyFolder) -> Iterator[Finding]:
    folder = study.store_folder
    damaged = set(find_damaged(folder, use_memo=False))
    for file in sorted(folder.glob("*.safetensors")):
        what = f"{folder.name}/{file.name}"
        yield Finding(what, "wrong", damage_of(file)) if file in damaged else Finding(what, "right")


def _predictions(folder: Path) -> Iterator[Finding]:
    advice = "it is not what was written: the next command reads the predictions anew"
    for file in sorted(folder.glob("*.safetensors")):
        what = f"{folder.name}/{file.name}"
        is_right = load_likelihoods(file) is not None
        yield Finding(what, "right") if is_right else Finding(what, "wrong", advice)


def _heldout(study: StudyFolder) -> Iterator[Finding]:
    found = _load(study, SearchFound)
    for name, expected in (found.heldout if found else {}).items():
        path = study.folder / "heldout" / f"{name}.npy"
        what = f"heldout/{name}.npy"
        advice = f"`mixwise search {study.folder}` makes it anew"
        if not path.is_file():
            yield Finding(what, "missing", advice)
        elif hash_file(path) != expected:
            yield Finding(what, "wrong", f"it is not what was written: {advice}")
        else:
            yield Finding(what, "right")


def _inputs(study: StudyFolder, settings: Settings) -> Iterator[Finding]:
    """Base, experts that were brought, data and cached tokens, against the recommendation."""
    recommendation = _load(study, Recommendation)
    source = recommendation.provenance if recommendation else None
    try:
        inputs = Inputs(study.recipe, settings)
        yield _compare("base", lambda: inputs.base.fingerprint, source.base if source else None)
    except MixwiseError as error:
        yield Finding("base", "wrong", str(error))
        return
    for name, domain in inputs.recipe.domains.items():
        if domain.expert is not None:
            expected = source.experts.get(name) if source else None
            yield _compare(f"expert of {name}", lambda n=name: _brought(inputs, n), expected)  # type: ignore[misc]
    for name in inputs.recipe.tokenised_sets:
        yield from _tokens(inputs, name, source.data.get(name) if source else None)


def _brought(inputs: Inputs, name: str) -> str:
    expert = inputs.expert_checkpoint(name)
    assert expert is not None  # the recipe names one
    return expert.fingerprint


def _compare(what: str, find: Callable[[], str], expected: str | None) -> Finding:
    try:
        found = find()
    except MixwiseError as error:
        return Finding(what, "wrong", str(error))
    if expected is None:
        return Finding(what, "not recorded", "the study has no recommendation that names it")
    if found != expected:
        advice = "it is not what the recommendation was made from: restore it, or begin a new study"
        return Finding(what, "wrong", advice)
    return Finding(what, "right")


def _tokens(inputs: Inputs, name: str, expected: str | None) -> Iterator[Finding]:
    """The data of a domain or text set, and its tokens in the cache."""
    finding = _compare(f"data of {name}", lambda: inputs.corpus_key(name), expected)
    if name in inputs.recipe.domains or finding.state == "wrong":
        yield finding
    try:
        folder = inputs.settings.cache / inputs.corpus_key(name)
    except MixwiseError:
        return  # said above
    what = f"cached tokens of {name}"
    if not folder.is_dir():
        yield Finding(what, "not recorded", "none are cached: they are made when they are needed")
        return
    damage = check_cached(folder)
    if damage is None:
        yield Finding(what, "right")
    else:
        yield Finding(what, "wrong", f"{damage}: the next command makes them anew from the data")


def _load(study: StudyFolder, kind: type[Result]) -> Result | None:
    """A result; None where it is missing or damaged."""
    try:
        return load_result(study, kind)
    except MixwiseError:
        return None

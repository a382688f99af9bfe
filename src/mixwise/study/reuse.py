"""Which runs of another study are those that this one would train.

Notation:
    λ: mixture of a run, by tokens, over the domains of its own study.  t: steps of an expert.

Method:
    The record of a run holds its mixture, seed and length. From these and from what the new recipe
    says of base, data and training, the fingerprint is worked out that the other study gave to such
    a run. Where the record has the same, the run was trained on what the new recipe asks for; where
    anything has changed that a result rests on, the two differ, and the run is left. A domain
    without a share changes nothing in a run, so that one over fewer or more domains is the same run
    where its own domains keep their names and their order.

    Experts keep their t, and the sequences that they read of a scarce domain; new ones are trained
    as long. `mixwise.study.take_over` puts the runs in their place. What a model scored is not
    taken: the evaluation sets are others as soon as the domains are.

Source:
    Reuse of what a changed mixture leaves valid: Olmix (arXiv 2602.12237).
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mixwise.data.blend import allocate
from mixwise.errors import MixwiseError, MixwiseWarning, StudyError
from mixwise.mixture import Mixture
from mixwise.recipe import Recipe
from mixwise.study.folder import StudyFolder
from mixwise.study.horizons import plan_horizons
from mixwise.study.inputs import Inputs
from mixwise.study.kept_runs import KeptReference, KeptRuns
from mixwise.study.run_fingerprint import expert_fingerprint, run_fingerprint
from mixwise.study.runs import expert_trajectory
from mixwise.training.job import RunRecord, load_record
from mixwise.training.run_files import require_unchanged

Kind = Literal["expert", "reference"]
_TRAJECTORY = "trajectory"
_ANEW = ": it is trained anew"


@dataclass(frozen=True, slots=True)
class _Found:
    """A run of the other study that is vouched for.

    Args:
        folder: Its folder.
        record: Its record.
        rows: Sequences that it may have read of a domain, where not all.
    """

    folder: Path
    record: RunRecord
    rows: Mapping[str, int]


def find_kept_runs(inputs: Inputs, source: Path) -> KeptRuns:
    """Find what a study may take from another one; writes nothing.

    Args:
        inputs: Those of the new recipe.
        source: Folder of the other study.

    Raises:
        StudyError: If it is no study of a recipe.
    """
    other = StudyFolder.open(source)
    if "problem" in (other.held or {}):
        raise StudyError(
            f"{source}: is a study of a problem, whose runs cannot be told apart from a recipe: "
            "give the folder of a study of a recipe"
        )
    dropped: list[str] = []
    experts = _find_experts(inputs, other, dropped)
    steps = experts[next(iter(experts))].record.n_steps if experts else 0
    references = tuple(_find_references(inputs, other, dropped))
    return KeptRuns(
        str(source),
        steps,
        {name: found.rows.get(name) for name, found in experts.items()},
        references,
        tuple(dropped),
    )


def _find_experts(inputs: Inputs, other: StudyFolder, dropped: list[str]) -> dict[str, _Found]:
    """The experts that may be kept, all of one length."""
    recipe, found = inputs.recipe, dict[str, _Found]()
    folders = {path.name: path for path in sorted(other.experts_folder.glob("*/"))}
    for name in recipe.domain_names:
        if recipe.domains[name].expert is not None:
            continue
        if name not in folders:
            dropped.append(f"`{name}` {_why_untrained(other, name)}: its expert is trained")
            continue
        run = _vouched(inputs, folders[name], "expert", dropped, f"the expert of `{name}`")
        if run is not None:
            found[name] = run
    dropped += [
        f"`{name}` is no domain any more: its expert is left"
        for name in folders
        if name not in recipe.domains
    ]
    return _of_one_length(inputs, found, dropped)


def _why_untrained(other: StudyFolder, name: str) -> str:
    """Why the other study has trained no expert of a domain, as far as its recipe tells."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", MixwiseWarning)  # of a recipe that was edited there
            domains = other.recipe.domains
    except MixwiseError:
        return "is new, or was not trained there"
    if name not in domains:
        return "is new"
    is_brought = domains[name].expert is not None
    return "had an expert that was brought" if is_brought else "was not trained there"


def _of_one_length(
    inputs: Inputs, found: dict[str, _Found], dropped: list[str]
) -> dict[str, _Found]:
    """Those of the length that the recipe asks for, or that most have."""
    if not found:
        return found
    recipe = inputs.recipe
    wanted = recipe.experts.horizon_tokens
    counted = Counter(run.record.n_steps for run in found.values())
    steps = max(counted, key=lambda n: (counted[n], n))
    if wanted is not None:
        steps = wanted // recipe.batch_tokens
    kept, points = dict[str, _Found](), _points(inputs, steps, len(found))
    for name, run in found.items():
        own = run.record.n_steps
        if own != steps:
            why = f"has {own} steps, but {steps} are asked for or most have so many"
        elif own > recipe.n_steps:
            why = f"has {own} steps, more than the final run's {recipe.n_steps}"
        elif not set(points) <= _kept_points(run.folder):
            why = "was not kept where it is to be merged (`experts.halvings`, `proxy.continued`)"
        else:
            kept[name] = run
            continue
        dropped.append(f"the expert of `{name}` {why}{_ANEW}")
    return kept


def _points(inputs: Inputs, steps: int, n_kept: int) -> tuple[int, ...]:
    """Steps of an expert that the new study will want kept, were experts of these steps taken."""
    recipe = inputs.recipe
    if steps > recipe.n_steps:
        return ()
    return expert_trajectory(recipe, plan_horizons(recipe, kept_steps=steps, n_kept=n_kept))


def _kept_points(folder: Path) -> set[int]:
    return {int(path.name) for path in (folder / _TRAJECTORY).glob("[0-9]*/")}


def _find_references(
    inputs: Inputs, other: StudyFolder, dropped: list[str]
) -> Iterator[KeptReference]:
    """Runs of the final horizon whose domains are all as they were."""
    recipe, left = inputs.recipe, Counter[str]()
    for folder in sorted((other.folder / "references").glob("*/")):
        record = _record_of(folder)
        if record is None:
            left["are not finished, or damaged"] += 1
            continue
        support = {name: share for name, share in record.shares.items() if share > 0}
        gone = [name for name in support if name not in recipe.domains]
        if gone:
            left[f"have a share of `{gone[0]}`, which is no domain any more"] += 1
        elif recipe.shares_by != "tokens":
            left[f"count tokens, but the shares of this study {recipe.shares_by}"] += 1
        elif record.n_tokens != recipe.run_tokens:
            left[f"are of {record.n_steps} steps, but the final run has {recipe.n_steps}"] += 1
        elif not _in_order(support, recipe):
            left["have their domains in another order, which decides the order of a run"] += 1
        else:
            lines: list[str] = []
            if _vouched(inputs, folder, "reference", lines, "") is None:
                left[lines[0].strip().removesuffix(_ANEW).replace("was ", "were ", 1)] += 1
                continue
            place = folder.relative_to(other.folder).as_posix()
            yield KeptReference(support, record.seed, place)
    dropped += [f"{n} run(s) beside the experts are left: they {why}" for why, n in left.items()]


def _record_of(folder: Path) -> RunRecord | None:
    try:
        return load_record(folder)
    except MixwiseError:
        return None


def _in_order(support: Mapping[str, float], recipe: Recipe) -> bool:
    places = [recipe.domain_names.index(name) for name in support]
    return places == sorted(places)


def _vouched(
    inputs: Inputs, folder: Path, kind: Kind, dropped: list[str], what: str
) -> _Found | None:
    """A run that is what the recipe would train; otherwise None, and why."""
    try:
        record = load_record(folder)
        if record is None:
            dropped.append(f"{what} is not finished: it is trained")
            return None
        if record.method == "gradients":
            dropped.append(
                f"{what} was made by gradients, which rest on all domains: it is made anew"
            )
            return None
        if (record.seed == inputs.recipe.training.seed) != (kind == "expert"):
            whose = "another" if kind == "expert" else "the experts'"
            dropped.append(f"{what} was trained with {whose} seed{_ANEW}")
            return None
        for rows in _possible_rows(inputs, record):
            if record.fingerprint == fingerprint_there(inputs, folder, record, kind, rows):
                require_unchanged(folder, record, keeps=False)
                return _Found(folder, record, rows)
    except MixwiseError as error:
        dropped.append(f"{what} was trained, but cannot be taken ({error})")
        return None
    dropped.append(f"{what} was trained {_why_not(inputs, record)}{_ANEW}")
    return None


def fingerprint_there(
    inputs: Inputs, folder: Path, record: RunRecord, kind: Kind, rows: Mapping[str, int]
) -> str:
    """What the other study would call a run, were it what the new recipe asks for.

    Args:
        inputs: Those of the new recipe.
        folder: Folder of the run.
        record: Its record.
        kind: What it is there.
        rows: Sequences that it may have read of a domain, where not all.
    """
    recipe, settings = inputs.recipe, inputs.recipe.training
    if kind == "expert":
        settings = settings.model_copy(update={"schedule": recipe.experts.schedule})
    run = run_fingerprint(
        inputs,
        Mixture(tuple(record.shares), tuple(record.shares.values())),
        seed=record.seed,
        settings=settings,
        n_sequences=record.n_tokens // recipe.sequence_length,
        most_rows=rows,
    )
    if kind == "reference":
        return run
    return expert_fingerprint(run, sorted(_kept_points(folder)))


def _possible_rows(inputs: Inputs, record: RunRecord) -> Sequence[Mapping[str, int]]:
    """No limit, and the one that the repetitions of a run point to; the fingerprint decides."""
    mixture = Mixture(tuple(record.shares), tuple(record.shares.values()))
    counts = allocate(mixture.array, record.n_tokens // inputs.recipe.sequence_length)
    read = {
        name: round(count / record.repetitions[name])
        for name, count in zip(mixture.domains, counts.tolist(), strict=True)
        if count and record.repetitions.get(name)
    }
    return ({}, read)


def _why_not(inputs: Inputs, record: RunRecord) -> str:
    """What differs from what the recipe asks for, as far as the record tells."""
    for name, share in record.shares.items():
        if not share or name not in inputs.recipe.domains:
            continue
        trained = record.token_hashes.get(name)
        if trained and trained != inputs.corpus(name).train.content_hash:
            return f"on other data of `{name}`"
    return "from another base, or with other `training` settings, seed or length of sequences"

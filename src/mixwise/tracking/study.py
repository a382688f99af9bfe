"""A study in tracking tools: its stages, every observation's objective, and what is recommended.

Method:
    The study is the parent of its runs. ``tracking/study.json`` holds its id, and
    ``tracking/observed.tsv`` a line for each observation that was told: a study that goes on finds
    its run again and tells none twice. An observation's line is written before the tools are told,
    so that one which a killed process was telling is lost there rather than doubled.
"""

from __future__ import annotations

import json
import math
import secrets
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from mixwise.errors import MixwiseWarning, first_line
from mixwise.mixture import Mixture
from mixwise.observation import Observation
from mixwise.recipe import hash_section
from mixwise.recipe.tracking import Tracking
from mixwise.tracking.guarded import GuardedRun
from mixwise.tracking.run import RunKind, TrackedRun

FOLDER = "tracking"
_STUDY_FILE = "study.json"
_OBSERVED_FILE = "observed.tsv"
_CONCLUSION = "recommendation"


class TrackedStudy:
    """A study that tells tools how far it is; one without tools does nothing.

    Args:
        wanted: What the recipe says.
        study: The study's folder.
        recipe_folder: Where a relative MLflow store starts from.
        facts: What is known of the study.
    """

    def __init__(
        self, wanted: Tracking, study: Path, recipe_folder: Path, facts: Mapping[str, str]
    ) -> None:
        self._wanted = wanted
        self._study = study.resolve()
        self._recipe_folder = recipe_folder
        self._facts = dict(facts)
        self._told: GuardedRun | None = None
        self._best: dict[str, float] = {}
        self._n_observed: dict[str, int] = {}
        self._known: set[str] = set()
        self._id = ""
        self._is_finished = False

    @property
    def _folder(self) -> Path:
        return self._study / FOLDER

    def begin(self) -> None:
        """Begin the study's run in every tool, or go on with it; before any run of the study."""
        if self._told is not None or not self._wanted.to:
            return
        with self._own_files():
            self._id = self._identity()
            self._read_observed()
            self._told = GuardedRun(self._run("study", self._wanted.to))

    def run_of(self, kind: RunKind, key: str, mixture: Mixture, seed: int) -> TrackedRun | None:
        """What tools are told of a run of the study; None where none is told, or before `begin`.

        Args:
            kind: What the run is for.
            key: Tells it apart.
            mixture: What it trains on.
            seed: Its seed.
        """
        to = () if self._told is None else self._told.working
        if not to:
            return None
        domain = mixture.support[0] if kind == "expert" else ""
        shares = mixture.as_dict()
        return self._run(kind, to, key=key, domain=domain, mixture=shares, seed=seed)

    def stage(self, name: str, outcome: str | None) -> None:
        """A stage begins, or has ended with an outcome."""
        self.begin()
        self._is_finished = outcome is not None
        if self._told is not None:
            ended = {f"stage/{name}": outcome} if outcome else {}
            self._told.note({"stage": name if outcome is None else f"{name}: done", **ended})

    def observe(self, observation: Observation, objective: float) -> None:
        """An observation and its objective; each is told once."""
        if self._told is None:
            return
        answer = observation.answer
        if not self._is_new(observation.fingerprint, answer, objective):
            return
        shares = observation.mixture.as_dict() if observation.mixture else {}
        self._told.log(
            answer,
            {
                "objective": objective,
                "best objective": self._best[answer],
                **{f"share/{name}": share for name, share in shares.items()},
                **observation.values,
            },
            self._n_observed[answer],
        )

    def conclude(self, figures: Mapping[str, float], texts: Mapping[str, str]) -> None:
        """What the study has come to so far.

        Args:
            figures: A point of the curves of recommendations, told once as long as it is the same.
            texts: By name.
        """
        self._is_finished = True
        if self._told is None:
            return
        finite = {name: value for name, value in figures.items() if math.isfinite(value)}
        self._told.note(texts)
        if self._is_new(hash_section(json.dumps(finite, sort_keys=True)), _CONCLUSION, 0.0):
            self._told.log(_CONCLUSION, finite, self._n_observed[_CONCLUSION])

    def close(self) -> None:
        """Let go of the study's run."""
        if self._told is not None:
            self._told.close(is_finished=self._is_finished)
            self._told = None

    def _run(
        self,
        kind: RunKind,
        to: tuple[str, ...],
        *,
        key: str = "",
        domain: str = "",
        mixture: Mapping[str, float] | None = None,
        seed: int | None = None,
    ) -> TrackedRun:
        return TrackedRun(
            to=to,
            project=self._wanted.project,
            study=self._wanted.name or self._study.name,
            study_id=self._id,
            kind=kind,
            key=key,
            domain=domain,
            mixture=dict(mixture or {}),
            seed=seed,
            facts={} if key else {**self._facts, "study": str(self._study)},
            folder=self._folder,
            mlflow_uri=self._wanted.store(self._folder, self._recipe_folder),
        )

    @contextmanager
    def _own_files(self) -> Iterator[None]:
        """Go on without tools where the files that keep points from doubling cannot be had."""
        try:
            yield
        except (OSError, ValueError, KeyError, TypeError) as error:
            self._told = None
            self._wanted = Tracking()
            warnings.warn(
                f"{self._folder}: cannot be read or written ({first_line(error)}), so no tool of "
                "`tracking.to` is told any more; results are the same: free the disk, or delete "
                "the folder, with which tools begin anew",
                MixwiseWarning,
                stacklevel=4,
            )

    def _identity(self) -> str:
        """The study's id, which is made where there is none."""
        path = self._folder / _STUDY_FILE
        if path.is_file():
            return str(json.loads(path.read_text(encoding="utf-8"))["id"])
        identity = secrets.token_hex(4)
        self._folder.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"id": identity}), encoding="utf-8")
        return identity

    def _read_observed(self) -> None:
        path = self._folder / _OBSERVED_FILE
        for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
            fingerprint, answer, objective = line.split("\t")
            self._remember(fingerprint, answer, float(objective))

    def _is_new(self, fingerprint: str, series: str, objective: float) -> bool:
        """Whether a point was not told before; then its line is written."""
        if fingerprint in self._known:
            return False
        with self._own_files(), (self._folder / _OBSERVED_FILE).open("a", encoding="utf-8") as file:
            file.write(f"{fingerprint}\t{series}\t{objective!r}\n")
        self._remember(fingerprint, series, objective)
        return self._told is not None  # the line could be written

    def _remember(self, fingerprint: str, answer: str, objective: float) -> None:
        self._known.add(fingerprint)
        self._n_observed[answer] = self._n_observed.get(answer, 0) + 1
        self._best[answer] = max(self._best.get(answer, -math.inf), objective)

"""What a study's stages ask of its inputs and of its training runs, whatever its models are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from mixwise.engine.protocol import Engine
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.models.checkpoint import Checkpoint
from mixwise.recipe.question import Question
from mixwise.scoring.worker.job import Suite
from mixwise.share_units import ShareUnit
from mixwise.study.horizons import Horizons
from mixwise.training.job import Run


class StudyInputs(Protocol):
    """What a study is about, opened and checked."""

    @property
    def recipe(self) -> Question:
        """What is asked."""
        ...

    @property
    def base(self) -> Checkpoint:
        """The base's opened checkpoint."""
        ...

    @property
    def suite(self) -> Suite:
        """All evaluation sets."""
        ...

    @property
    def horizons(self) -> Horizons:
        """How far experts and the final model are trained."""
        ...

    @property
    def space(self) -> MixtureSpace:
        """The mixtures that may be recommended."""
        ...

    @property
    def available(self) -> Mapping[str, int]:
        """What each domain has to train on, by the unit of the shares."""
        ...

    @property
    def available_tokens(self) -> dict[str, int]:
        """The same by the unit of the horizons."""
        ...

    def data_key(self, domain: str) -> str:
        """Hash of all that a domain's training data depend on."""
        ...

    def by_other_units(self, mixture: Mixture) -> dict[ShareUnit, Mixture]:
        """A mixture by the other units of shares."""
        ...


class StudyRuns(Protocol):
    """Every run that a study may train."""

    @property
    def engine(self) -> Engine:
        """Where training runs."""
        ...

    def train_experts(self) -> None:
        """Train every expert that is missing, and every run that the merge rule needs."""
        ...

    def train_extra_runs(self) -> None:
        """Train what the rule needs besides the experts."""
        ...

    def expert_jobs(self) -> Sequence[Run]:
        """The runs of the experts that the user does not bring."""
        ...

    def extra_jobs(self) -> Sequence[Run]:
        """Runs that correct the merge."""
        ...

    def expert(self, domain: str) -> Checkpoint:
        """The opened expert of a domain."""
        ...

    def expert_at(self, domain: str, steps: int) -> Checkpoint:
        """The expert of a domain as it was after some steps."""
        ...

    def job(self, mixture: Mixture, seed: int) -> Run:
        """The run of the final horizon that trains on a mixture with a seed."""
        ...

    def trained(self, job: Any, what: str) -> Checkpoint:
        """The opened checkpoint of a finished run."""
        ...

    def reference_seeds(self, n: int) -> tuple[int, ...]:
        """Seeds of references; never the experts'."""
        ...

"""What a study's stages ask of its inputs, whatever its models are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from mixwise.mixture import Mixture, MixtureSpace
from mixwise.models.checkpoint import Checkpoint
from mixwise.recipe.question import Question
from mixwise.scoring.worker.job import Suite
from mixwise.share_units import ShareUnit
from mixwise.study.horizons import Horizons


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

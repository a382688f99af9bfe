"""What the stages of a study ask of a recipe, whatever kind of models it is about.

A `Recipe` is one; a study of a network that the user builds, trains and evaluates by functions has
another. Stages that are typed with it know neither data files nor tokenizers.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal, Protocol

from mixwise.objective import Metric, Objective
from mixwise.recipe.sections import Calibration, Final, ObjectiveChoice, Search, Validation
from mixwise.share_units import ShareUnit
from mixwise.tasks import Unit


class Seeded(Protocol):
    """How runs are trained, as far as every kind of them has it."""

    @property
    def seed(self) -> int:
        """The experts' seed; references count up from it."""
        ...


class StoreChoice(Protocol):
    """How task vectors are kept."""

    @property
    def task_vectors(self) -> Literal["float32", "bfloat16", "int8"]:
        """Their precision."""
        ...


class Question(Protocol):
    """All that is asked, from the metrics to the runs that check the answer."""

    @property
    def domains(self) -> Collection[str]:
        """Names of the domains, in their order."""
        ...

    @property
    def domain_names(self) -> tuple[str, ...]:
        """The same."""
        ...

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Every measurement of every evaluation set, the objective's directions applied."""
        ...

    @property
    def set_names(self) -> tuple[str, ...]:
        """Every evaluation set."""
        ...

    @property
    def objective(self) -> ObjectiveChoice:
        """What to maximise, as it was asked."""
        ...

    @property
    def objective_terms(self) -> Objective:
        """The same as a value."""
        ...

    @property
    def chosen_rule(self) -> str:
        """The merge rule."""
        ...

    @property
    def search(self) -> Search:
        """How candidates are proposed, and where."""
        ...

    @property
    def calibration(self) -> Calibration:
        """Mixtures that are trained to learn what the proxy misses."""
        ...

    @property
    def validation(self) -> Validation:
        """Mixtures that are trained to see how far the proxy may be trusted."""
        ...

    @property
    def final(self) -> Final:
        """Real training of the recommendation and of what it must beat."""
        ...

    @property
    def training(self) -> Seeded:
        """How one run trains."""
        ...

    @property
    def engine(self) -> StoreChoice:
        """How work is done."""
        ...

    @property
    def unit(self) -> Unit:
        """What runs, horizons and prices count."""
        ...

    @property
    def shares_by(self) -> ShareUnit:
        """What the shares of a mixture count."""
        ...

    @property
    def sequence_length(self) -> int:
        """Units of one row of data."""
        ...

    @property
    def batch_tokens(self) -> int:
        """Units of one step."""
        ...

    @property
    def n_steps(self) -> int:
        """Steps of the final run."""
        ...

    @property
    def run_tokens(self) -> int:
        """Units of the final run."""
        ...

    @property
    def key(self) -> str:
        """Hash of the question by itself, whatever its files hold."""
        ...

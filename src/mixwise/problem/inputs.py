"""What a problem's study is about: the base's tensors, its measurements, and what is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mixwise.files import HashFile
from mixwise.mixture import Mixture, MixtureSpace
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.problem.measuring import ModuleSuite
from mixwise.problem.question import ProblemQuestion
from mixwise.recipe import hash_section
from mixwise.share_units import ShareUnit
from mixwise.study.horizons import Horizons


@dataclass(frozen=True)
class ProblemInputs:
    """Inputs of a problem's study: a `mixwise.study.study_inputs.StudyInputs`.

    Args:
        recipe: What is asked.
        keys: What tells of each function that it computes the same, by its name.
        suite: What is measured.
        base_folder: Folder of the base's tensors.
        hash_file: Hashes files, and remembers unchanged ones.
    """

    recipe: ProblemQuestion
    keys: Mapping[str, str]
    suite: ModuleSuite
    base_folder: Path
    hash_file: HashFile

    @cached_property
    def base(self) -> Checkpoint:
        """The base's opened checkpoint."""
        return open_checkpoint(self.base_folder, hash_file=self.hash_file)

    @property
    def horizons(self) -> Horizons:
        """How far experts and the final model are trained."""
        return self.recipe.horizons

    @property
    def space(self) -> MixtureSpace:
        """The mixtures that may be recommended."""
        return self.recipe.space

    @property
    def available(self) -> dict[str, int]:
        """Training examples of each domain."""
        return dict(self.recipe.problem.domains)

    @property
    def available_tokens(self) -> dict[str, int]:
        """The same: horizons count examples too."""
        return self.available

    def data_key(self, domain: str) -> str:
        """Hash of all that is known of a domain's data: `train`, and its number of examples."""
        return hash_section(self.keys["train"], domain, self.available[domain])

    def by_other_units(self, mixture: Mixture) -> dict[ShareUnit, Mixture]:
        """None: examples are all that is counted."""
        return {}

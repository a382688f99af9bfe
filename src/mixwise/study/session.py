"""A study of models of transformers at work: its inputs, live model, engine and training runs."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cached_property

from mixwise import __version__
from mixwise.decision.calibration import Reference
from mixwise.engine.protocol import Engine
from mixwise.engine.serial import HereEngine
from mixwise.errors import RecipeError
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.merging.kept_heads import KeptHeads
from mixwise.merging.pool import ExpertPool
from mixwise.mixture import Mixture
from mixwise.models.live_model import LiveModel
from mixwise.progress import OnProgress, silent
from mixwise.recipe import Recipe, hash_section
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.worker.evaluator import open_pool
from mixwise.scoring.worker.job import ModelSettings
from mixwise.scoring.worker.running_statistics import StatisticsData
from mixwise.study.answers import Answers, choose_answers
from mixwise.study.batch_norm import statistics_data
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.runs import Runs
from mixwise.study.workbench import Workbench
from mixwise.study.workers import choose_run_device, choose_seats, cluster_of
from mixwise.tracking.study import TrackedStudy

_RESULTS = "results 4"  # form of the result files; one of another form is made anew
_LABELLED = "results 5"  # the same where models are classifiers: `auto` answers by merges there


class Workspace(Workbench):
    """Everything that the stages of one study share.

    Args:
        study: The study's folder.
        settings: Folders and permissions.
        on_progress: Told how far each stage has come.
        rule: Merge rule of the proxy; None for the recipe's.
        recipe: By default the one that the study holds.
        read_only: Whether nothing is measured and nothing written: what is not known is refused.
    """

    recipe: Recipe
    inputs: Inputs
    runs: Runs

    def __init__(
        self,
        study: StudyFolder,
        settings: Settings,
        on_progress: OnProgress = silent,
        rule: str | None = None,
        recipe: Recipe | None = None,
        *,
        read_only: bool = False,
    ) -> None:
        self.recipe = recipe or study.recipe
        super().__init__(study, rule or self.recipe.chosen_rule, on_progress, read_only=read_only)
        kept = settings.kept or study.kept
        self.inputs = Inputs(
            self.recipe,
            replace(settings, kept=kept),
            hash_file=self.hash_file,
            on_progress=on_progress,
        )
        if not read_only:
            self.tracker = _tracker(study, self.recipe)
        self.runs = Runs(
            study,
            self.inputs,
            self.tracker,
            self.rule,
            self.ledger,
            self.hash_file,
            on_progress,
            read_only=read_only,
        )

    @cached_property
    def model_settings(self) -> ModelSettings:
        """Where and in which precision models are evaluated."""
        wanted = self.recipe.evaluation
        return ModelSettings(
            self.inputs.base,
            device=choose_run_device(self.recipe),
            precision=wanted.precision,
            placement=wanted.placement,
            memory_bytes=int(wanted.memory_gb * 1e9) if wanted.memory_gb else None,
            trust_remote_code=self.inputs.settings.trust_remote_code,
            auto_class=self.recipe.task_facts.auto_class,
            statistics=self.statistics,
        )

    @cached_property
    def evaluations(self) -> Evaluations:
        """Where models are evaluated.

        With one worker of this machine that is this process, and so it is with a model that is
        split over all GPUs, of which a worker sees only its own.
        """
        seats, settings = choose_seats(self.recipe), self.model_settings
        if seats.n_workers == 1 and settings.device == "cpu":
            import torch

            torch.set_num_threads(seats.n_threads)  # threads that wait for a core spin
        is_elsewhere = self.recipe.engine.cluster != "local"
        is_spread = is_elsewhere or (seats.n_workers > 1 and settings.placement != "split")
        is_shared = self.is_read_only or is_spread
        if is_spread and not self.is_read_only:
            _require_importable(
                self.inputs.suite, is_elsewhere=cluster_of(self.recipe).is_elsewhere
            )
        engine: Engine = self.runs.engine if is_shared else HereEngine()
        return Evaluations(engine, settings, self.inputs.suite, on_progress=self.on_progress)

    @cached_property
    def statistics(self) -> StatisticsData | None:
        """What batch norm is measured anew on after a merge; None where the base keeps none."""
        return statistics_data(self.inputs)

    @property
    def has_slopes(self) -> bool:
        """See `Workbench.has_slopes`: not where statistics are measured anew after each merge."""
        return self.statistics is None

    @property
    def kept_heads(self) -> KeptHeads | None:
        """See `Workbench.kept_heads`: where domains have labels, and heads, of their own."""
        return self.inputs.kept_heads

    @cached_property
    def answers(self) -> Answers:
        """See `Workbench.answers`."""
        return choose_answers(self.inputs, self.rule)

    @cached_property
    def kept_references(self) -> tuple[Reference, ...]:
        """See `Workbench.kept_references`."""
        kept, names = self.inputs.settings.kept, self.recipe.domain_names
        by_mixture: dict[Mixture, list[int]] = {}
        for one in kept.references if kept else ():
            mixture = Mixture(names, tuple(one.shares.get(name, 0.0) for name in names))
            by_mixture.setdefault(mixture, []).append(one.seed)
        proxies = self.proxy.score(list(by_mixture)) if by_mixture else ()
        return tuple(
            Reference(proxy, self.reference(sorted(seeds)).runs([mixture])[0])
            for proxy, (mixture, seeds) in zip(proxies, by_mixture.items(), strict=True)
        )

    def open_pool(self) -> ExpertPool:
        """All that is merged, beside a live model, in this process."""
        live = LiveModel.load(
            self.inputs.base,
            trust_remote_code=self.inputs.settings.trust_remote_code,
            auto_class=self.recipe.task_facts.auto_class,
        )
        return open_pool(live, self.merges)

    @cached_property
    def result_key(self) -> str:
        """See `Workbench.result_key`."""
        inputs = self.inputs
        return hash_section(
            _LABELLED if self.recipe.task_facts.has_labels else _RESULTS,
            self.recipe.model_dump_json(exclude={"engine", "bos", "tracking"}),
            self.recipe.engine.task_vectors,
            inputs.base.fingerprint,
            inputs.suite.fingerprint,
            self.rule.name,
            *(inputs.data_key(name) for name in self.recipe.domains),
            *(self.runs.expert(name).fingerprint for name in self.recipe.domains),
        )

    def save_heldout(self) -> dict[str, str]:
        """Keep the held-out tokens of every text set in the study's folder; hashes by name."""
        return {
            chosen.name: self.study.save_heldout(chosen.name, chosen.heldout.tokens)
            for chosen in self.inputs.suite.sets
            if isinstance(chosen, TextSet)
        }


def _tracker(study: StudyFolder, recipe: Recipe) -> TrackedStudy:
    facts = {
        "base": recipe.base,
        "domains": ", ".join(recipe.domain_names),
        "horizon": f"{recipe.run_tokens} {recipe.unit}",
        "budget": f"{recipe.budget:g}",
        "recipe": recipe.key,
        "mixwise": __version__,
    }
    return TrackedStudy(recipe.tracking, study.folder, study.recipe_folder, facts)


def _require_importable(suite: EvaluationSuite, *, is_elsewhere: bool = False) -> None:
    """Refuse sets of a class that worker processes cannot import: one of a notebook's cells.

    Processes of this machine load the caller's script too; those of other hosts do not.
    """
    has_script = hasattr(sys.modules["__main__"], "__file__") and not is_elsewhere
    for chosen in suite.sets:
        if type(chosen).__module__ == "__main__" and not has_script:
            where = "the script itself" if is_elsewhere else "a notebook"
            remedy = "" if is_elsewhere else ", or set `engine.workers: 1`"
            raise RecipeError(
                f"`evaluation.sets.{chosen.name}`: worker processes cannot import its class "
                f"`{type(chosen).__name__}`, which is defined in {where} or on standard input: "
                f"move it to a module of its own{remedy}"
            )

"""A study at work: its inputs, ledger, live model, engine, and the two scorers."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from mixwise.decision.calibration import Reference
from mixwise.decision.score import Score
from mixwise.engine.devices import choose_device
from mixwise.engine.protocol import Engine
from mixwise.engine.serial import HereEngine
from mixwise.engine.worker_cache import release_resident
from mixwise.errors import MixwiseWarning, RecipeError
from mixwise.evaluation.likelihood.text import TextSet
from mixwise.evaluation.suite import EvaluationSuite
from mixwise.files import MEMO_FILE, HashMemo
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rule_table import find_rule
from mixwise.merging.rules.inputs import ExtraRun
from mixwise.merging.task_vectors.store import damage_of, find_damaged
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.progress import OnProgress, silent
from mixwise.recipe import Recipe, hash_section
from mixwise.scorer import VALUES, Scorer
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.merged import MergedScorer
from mixwise.scoring.predictions import PredictionScorer
from mixwise.scoring.proxy import ProxyScorer
from mixwise.scoring.reference import ReferenceScorer
from mixwise.scoring.weighing import LONGER_STEPS, Means, ProxyPart
from mixwise.scoring.worker.evaluator import open_pool
from mixwise.scoring.worker.job import MergeSettings, ModelSettings
from mixwise.scoring.worker.running_statistics import StatisticsData
from mixwise.search.problem import distinct
from mixwise.study.answers import Answers, choose_answers
from mixwise.study.batch_norm import statistics_data
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.result_files import FILES, load_result, result_to_json
from mixwise.study.results import (
    BothAnswers,
    CalibrationFound,
    SeedScore,
    ValidationFound,
)
from mixwise.study.runs import Runs
from mixwise.study.workers import choose_seats

Result = TypeVar("Result")
_RESULTS = "results 4"  # form of the result files; one of another form is made anew


class Workspace:
    """Everything that the stages of one study share.

    Args:
        study: The study's folder.
        settings: Folders and permissions.
        on_progress: Told how far each stage has come.
        rule: Merge rule of the proxy; None for the recipe's.
        recipe: By default the one that the study holds.
        read_only: Whether nothing is measured and nothing written: what is not known is refused.
    """

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
        self.study = study
        self.is_read_only = read_only
        self.recipe = recipe or study.recipe
        self.ledger = study.open_ledger(read_only=read_only)
        self.hash_file = HashMemo(study.folder / MEMO_FILE, read_only=read_only)
        self.inputs = Inputs(
            self.recipe, settings, hash_file=self.hash_file, on_progress=on_progress
        )
        self.on_progress = on_progress
        self.rule = find_rule(rule or self.recipe.chosen_rule)
        self.runs = Runs(
            study,
            self.inputs,
            self.rule,
            self.ledger,
            self.hash_file,
            on_progress,
            read_only=read_only,
        )

    def close(self) -> None:
        """Stop the workers and close the ledger."""
        release_resident()
        self.runs.close()
        self.ledger.close()

    @cached_property
    def evaluations(self) -> Evaluations:
        """Where models are evaluated.

        With one worker of this machine that is this process, and so it is with a model that is
        split over all GPUs, of which a worker sees only its own.
        """
        seats = choose_seats(self.recipe)
        device = choose_device(self.recipe.training.device)
        if seats.n_workers == 1 and device == "cpu":
            import torch

            torch.set_num_threads(seats.n_threads)  # threads that wait for a core spin
        wanted = self.recipe.evaluation
        settings = ModelSettings(
            self.inputs.base,
            device=device,
            precision=wanted.precision,
            placement=wanted.placement,
            memory_bytes=int(wanted.memory_gb * 1e9) if wanted.memory_gb else None,
            trust_remote_code=self.inputs.settings.trust_remote_code,
            auto_class=self.recipe.task_facts.auto_class,
            statistics=self.statistics,
        )
        is_elsewhere = self.recipe.engine.cluster != "local"
        is_spread = is_elsewhere or (seats.n_workers > 1 and wanted.placement != "split")
        is_shared = self.is_read_only or is_spread
        if is_spread and not self.is_read_only:
            _require_importable(self.inputs.suite)
        engine: Engine = self.runs.engine if is_shared else HereEngine()
        return Evaluations(engine, settings, self.inputs.suite, on_progress=self.on_progress)

    @cached_property
    def statistics(self) -> StatisticsData | None:
        """What batch norm is measured anew on after a merge; None where the base keeps none."""
        return statistics_data(self.inputs)

    @property
    def objective(self) -> Objective:
        """What is maximised."""
        return self.recipe.objective_terms

    @cached_property
    def base_observation(self) -> Observation:
        """The base model's own scores."""
        provenance = self.evaluations.provenance
        fingerprint = hash_section("base", *(f"{k}={v}" for k, v in provenance.items()))
        found = self.ledger.find(fingerprint)
        if found is not None:
            return found
        [(_, evaluated)] = self.evaluations.run([self.inputs.base], VALUES)
        observation = Observation(
            mixture=None,
            answer="base",
            rule="",
            seeds=(),
            measurements=evaluated.measurements,
            seconds=evaluated.seconds,
            tokens_trained=0,
            tokens_evaluated=evaluated.n_tokens,
            fingerprint=fingerprint,
            provenance=provenance,
        )
        self.ledger.add(observation)
        return observation

    @cached_property
    def proxy(self) -> ProxyScorer:
        """The proxy; its experts must be trained already."""
        metrics = () if self.statistics is not None else self.objective.metrics  # no slopes then
        names = [m.set_name for m in metrics if m.is_differentiable]
        return self.make_proxy(slope_sets=tuple(dict.fromkeys(names)))

    def make_proxy(self, *, slope_sets: tuple[str, ...]) -> ProxyScorer:
        """A proxy that takes the slopes of these evaluation sets when slopes are wanted."""
        names, horizons, answers = self.recipe.domain_names, self.inputs.horizons, self.answers
        plain = [
            ProxyPart(
                means, steps, horizons.effective(steps), self._make_part(means, steps, slope_sets)
            )
            for means in answers.means
            for steps in (answers.points if means in answers.averaged else answers.points[-1:])
        ]
        return ProxyScorer(
            [*plain, *self._longer_steps()],
            [*(Mixture.single(names, name) for name in names), Mixture.uniform(names)],
            horizons.effective(self.recipe.n_steps),
            answers.likelihoods,
            answers.averaged,
            " and ".join(self.rule.name if m == "merged" else m for m in answers.means),
            lambda: self.base_observation.values,
        )

    @cached_property
    def answers(self) -> Answers:
        """Who answers for which metric, and where along the experts' runs."""
        return choose_answers(self.inputs, self.rule)

    def _longer_steps(self) -> list[ProxyPart]:
        """Predictions of what the objective reads, by experts with longer steps."""
        horizons, answers = self.inputs.horizons, self.answers
        last = answers.points[-1]
        is_short = last < self.recipe.n_steps and len(answers.points) > 1
        if not is_short or "predictions" not in answers.averaged:
            return []
        length = horizons.effective(last)
        names = tuple(dict.fromkeys(metric.set_name for metric in self.objective.metrics))
        return [
            ProxyPart("predictions", last, length, self._make_predictions(last, c, names), c)
            for c in LONGER_STEPS
        ]

    def _make_part(self, means: Means, steps: int, slope_sets: tuple[str, ...]) -> Scorer:
        if means == "predictions":
            return self._make_predictions(steps)
        merges = self.merges if steps == self.answers.points[-1] else self._merges_at(steps)
        return self._make_merged(merges, slope_sets)

    def _make_predictions(
        self, steps: int, coefficient: float = 1.0, names: tuple[str, ...] | None = None
    ) -> PredictionScorer:
        """Predictions at a point of the experts' runs; progress tells which."""
        note = f"after {steps} steps" + f", {coefficient:g} times as long" * (coefficient > 1)
        evaluations = replace(
            self.evaluations,
            on_progress=lambda report: self.on_progress(replace(report, note=note)),
        )
        return PredictionScorer(
            self._experts_at(steps),
            evaluations,
            self.study.predictions_folder,
            coefficient=coefficient,
            names=names,
        )

    @cached_property
    def merged(self) -> MergedScorer:
        """The experts merged at the end of their runs, as they are."""
        return self._make_merged(self.merges, ())

    def _make_merged(self, merges: MergeSettings, slope_sets: tuple[str, ...]) -> MergedScorer:
        return MergedScorer(
            replace(self.evaluations, merges=merges, slope_sets=slope_sets),
            self.rule.name,
            self.ledger,
            on_progress=self.on_progress,
        )

    @cached_property
    def merges(self) -> MergeSettings:
        """What is merged at the end of the experts' runs; they must be trained already."""
        self._remove_damaged_vectors()
        experts = {name: self.runs.expert(name) for name in self.recipe.domains}
        folders = [expert.folder for expert in experts.values()]
        return replace(
            self._merges_at(self.answers.points[-1]),
            steps=None,
            extras=self._extra_runs(),
            second_moments=tuple(
                self._hash_moments(f) for f in folders if "second moments" in self.rule.needs
            ),
        )

    def _merges_at(self, steps: int) -> MergeSettings:
        return MergeSettings(
            self._experts_at(steps),
            self.rule.name,
            self.study.store_folder,
            self.recipe.engine.task_vectors,
            steps,
        )

    def _experts_at(self, steps: int) -> dict[str, Checkpoint]:
        """The experts as they were at a point of their runs."""
        is_last = steps == self.answers.points[-1]
        names = self.recipe.domains
        return {n: self.runs.expert(n) if is_last else self.runs.expert_at(n, steps) for n in names}

    def _remove_damaged_vectors(self) -> None:
        """Take damaged files out of the store, and every score that came from them."""
        for file in find_damaged(self.study.store_folder, read_only=self.is_read_only):
            n = self.ledger.forget()
            warnings.warn(
                f"{damage_of(file)}, and {n} score(s) of merges are measured anew",
                MixwiseWarning,
                stacklevel=2,
            )
            if not self.is_read_only:
                file.unlink(missing_ok=True)

    def _extra_runs(self) -> tuple[ExtraRun, ...]:
        """What the rule merges besides the experts; it must be trained already."""
        runs = [
            ExtraRun(job.mixture, self.runs.trained(job, f"the run on `{job.mixture}`"))
            for job in self.runs.extra_jobs()
        ]
        if "trajectories" in self.rule.needs:
            runs += [run for domain in self.recipe.domains for run in self._trajectory(domain)]
        if "references" in self.rule.needs:
            runs += self._reference_runs()
        return tuple(runs)

    def _trajectory(self, domain: str) -> list[ExtraRun]:
        """Checkpoints along an expert's run."""
        mixture = Mixture.single(self.recipe.domain_names, domain)
        folders = sorted(
            (self.runs.expert(domain).folder / "trajectory").glob("[0-9]*"),
            key=lambda f: int(f.name),
        )
        return [
            ExtraRun(
                mixture,
                open_checkpoint(folder, hash_file=self.hash_file),
                int(folder.name) / self.inputs.horizons.expert_steps,
            )
            for folder in folders
        ]

    def _reference_runs(self) -> list[ExtraRun]:
        """Every mixture that was trained to calibrate or to validate the proxy, its first seed."""
        calibration = load_result(self.study, CalibrationFound)
        validation = load_result(self.study, ValidationFound)
        found = [result.mixtures for result in (calibration, validation) if result is not None]
        rows = [row.proxy.mixture for mixtures in found for row in mixtures]
        mixtures = distinct([mixture for mixture in rows if mixture is not None])
        jobs = [self.runs.job(mixture, self.runs.reference_seeds(1)[0]) for mixture in mixtures]
        return [
            ExtraRun(j.mixture, self.runs.trained(j, f"the run on `{j.mixture}`")) for j in jobs
        ]

    def _hash_moments(self, folder: Path) -> str:
        file = folder / SECOND_MOMENTS_FILE
        return self.hash_file(file) if file.is_file() else "missing"

    def open_pool(self) -> ExpertPool:
        """All that is merged, beside a live model, in this process."""
        live = LiveModel.load(
            self.inputs.base,
            trust_remote_code=self.inputs.settings.trust_remote_code,
            auto_class=self.recipe.task_facts.auto_class,
        )
        return open_pool(live, self.merges)

    def reference(self, seeds: Sequence[int]) -> ReferenceScorer:
        """The reference, with these training seeds."""
        return ReferenceScorer(
            self.runs.job,
            self.runs.engine,
            self.evaluations,
            self.ledger,
            seeds=seeds,
            hash_file=self.hash_file,
            on_progress=self.on_progress,
        )

    @cached_property
    def corners(self) -> tuple[Observation, ...]:
        """The single-domain experts, by the proxy."""
        names = self.recipe.domain_names
        return self.proxy.score([Mixture.single(names, name) for name in names])

    @cached_property
    def scale(self) -> Scale:
        """Base values and spreads over the single-domain experts."""
        return Scale.measure(
            self.base_observation.values, [corner.values for corner in self.corners]
        )

    @cached_property
    def result_key(self) -> str:
        """Hash of all that the results of the stages depend on; the experts must be trained."""
        inputs = self.inputs
        return hash_section(
            _RESULTS,
            self.recipe.model_dump_json(exclude={"engine", "bos"}),
            self.recipe.engine.task_vectors,
            inputs.base.fingerprint,
            inputs.suite.fingerprint,
            self.rule.name,
            *(inputs.corpus(name).key for name in self.recipe.domains),
            *(self.runs.expert(name).fingerprint for name in self.recipe.domains),
        )

    def save_result(self, result: Any) -> None:
        """Write a stage's result, marked with what it was made from."""
        content = {"recipe": self.result_key, **result_to_json(result)}
        self.study.save_json(FILES[type(result)], content)

    def load_result(self, kind: type[Result]) -> Result | None:
        """A stage's result, or None when there is none that was made from the same.

        Raises:
            DamagedError: If its file is not what was written.
        """
        return load_result(self.study, kind, recipe=self.result_key)

    def save_heldout(self) -> dict[str, str]:
        """Keep the held-out tokens of every text set in the study's folder; hashes by name."""
        return {
            chosen.name: self.study.save_heldout(chosen.name, chosen.heldout.tokens)
            for chosen in self.inputs.suite.sets
            if isinstance(chosen, TextSet)
        }

    def score_of(self, observation: Observation) -> Score:
        """What an observation scored by the study's objective."""
        return Score.of(observation, self.objective, self.scale)

    def both_answers(self, reference: Reference, name: str = "") -> BothAnswers:
        """A mixture by both answers, as result files hold it."""
        runs = [(run.seeds[0], self.score_of(run)) for run in reference.runs]
        return BothAnswers(
            name,
            self.score_of(reference.proxy),
            tuple(SeedScore(seed, score.objective, score.metrics) for seed, score in runs),
            reference.expected_gain,
        )

    def references_of(self, found: CalibrationFound | ValidationFound) -> list[Reference]:
        """The observations behind a result, from the ledger."""
        mixtures = [row.proxy.mixture for row in found.mixtures if row.proxy.mixture is not None]
        runs = self.reference(found.seeds).runs(mixtures)
        proxies = self.proxy.score(mixtures)
        return [Reference(*pair) for pair in zip(proxies, runs, strict=True)]


def _require_importable(suite: EvaluationSuite) -> None:
    """Refuse sets of a class that worker processes cannot import: one of a notebook's cells."""
    for chosen in suite.sets:
        is_of_main = type(chosen).__module__ == "__main__"
        if is_of_main and not hasattr(sys.modules["__main__"], "__file__"):
            raise RecipeError(
                f"`evaluation.sets.{chosen.name}`: worker processes cannot import its class "
                f"`{type(chosen).__name__}`, which is defined in a notebook or on standard input: "
                "move it to a module of its own, or set `engine.workers: 1`"
            )

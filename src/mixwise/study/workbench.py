"""A study at work, whatever its models are: ledger, base, proxy, references, results.

The stages of the main job see nothing else of a study. How models are built, trained, opened and
evaluated is what its two kinds differ in: `mixwise.study.session` has that of models of
transformers, `mixwise.problem` that of networks which the user builds by functions.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, TypeVar

from mixwise.decision.calibration import Reference
from mixwise.decision.score import Score
from mixwise.decision.trust import Ground
from mixwise.engine.worker_cache import release_resident
from mixwise.errors import MixwiseWarning
from mixwise.files import MEMO_FILE, HashMemo
from mixwise.merging.kept_heads import KeptHeads
from mixwise.merging.rule_table import find_rule
from mixwise.merging.rules.inputs import ExtraRun
from mixwise.merging.task_vectors.store import damage_of, find_damaged
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, Checkpoint, open_checkpoint
from mixwise.objective import Objective, Scale
from mixwise.observation import Observation
from mixwise.progress import OnProgress
from mixwise.recipe import hash_section
from mixwise.recipe.question import Question
from mixwise.recipe.tracking import Tracking
from mixwise.scorer import VALUES
from mixwise.scoring.evaluations import Evaluations
from mixwise.scoring.merged import MergedScorer
from mixwise.scoring.proxy import BY_CHECKED_RUNS, BY_GRADIENTS, BY_RUNS, ProxyScorer
from mixwise.scoring.reference import MakeJob, ReferenceScorer
from mixwise.scoring.worker.job import MergeSettings
from mixwise.search.problem import distinct
from mixwise.study.answers import Answers
from mixwise.study.folder import StudyFolder
from mixwise.study.proxy_parts import make_parts
from mixwise.study.result_files import FILES, load_result, result_to_json
from mixwise.study.results import BothAnswers, CalibrationFound, SeedScore, ValidationFound
from mixwise.study.study_inputs import StudyInputs
from mixwise.study.study_runs import StudyRuns
from mixwise.tracking.study import TrackedStudy
from mixwise.training.job import Run

Result = TypeVar("Result")


class Workbench(ABC):
    """Everything that the stages of one study share.

    Args:
        study: The study's folder.
        rule: Name of the proxy's merge rule.
        on_progress: Told how far each stage has come.
        read_only: Whether nothing is measured and nothing written: what is not known is refused.

    Attributes:
        recipe: What is asked.
        inputs: What it is asked about.
        runs: The training runs.
        tracker: Tells tracking tools how far the study is.
    """

    recipe: Question
    inputs: StudyInputs
    runs: StudyRuns[Any]

    def __init__(
        self, study: StudyFolder, rule: str, on_progress: OnProgress, *, read_only: bool
    ) -> None:
        self.study = study
        self.is_read_only = read_only
        self.on_progress = on_progress
        self.rule = find_rule(rule)
        self.ledger = study.open_ledger(read_only=read_only)
        self.hash_file = HashMemo(study.folder / MEMO_FILE, read_only=read_only)
        self.tracker = TrackedStudy(Tracking(), study.folder, study.recipe_folder, {})

    def close(self) -> None:
        """Stop the workers and close the ledger."""
        release_resident()
        self.runs.close()
        self.tracker.close()
        self.ledger.close()

    # --- what the kinds of studies differ in -----------------------------------------------------

    @property
    def kept_references(self) -> tuple[Reference, ...]:
        """References of another study that this one goes on with, by both answers."""
        return ()

    @property
    @abstractmethod
    def evaluations(self) -> Evaluations:
        """Where models are evaluated."""

    @property
    @abstractmethod
    def answers(self) -> Answers:
        """Who answers for which metric, and where along the experts' runs."""

    @property
    @abstractmethod
    def result_key(self) -> str:
        """Hash of all that the results of the stages depend on; the experts must be trained."""

    @abstractmethod
    def save_heldout(self) -> dict[str, str]:
        """Keep what models are scored on in the study's folder, where it can be; hashes by name."""

    # --- the two answers -------------------------------------------------------------------------

    @property
    def has_slopes(self) -> bool:
        """Whether merges have slopes at all."""
        return True

    @property
    def kept_heads(self) -> KeptHeads | None:
        """Rows that each domain keeps from its own expert; None where all of a model is merged."""
        return None

    @property
    def ground(self) -> Ground:
        """What is merged: of how much of it the usual errors of the proxy are known."""
        if self.kept_heads is not None:
            return "own heads"
        return "language models" if self.recipe.unit == "tokens" else "other networks"

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
        metrics = self.objective.metrics if self.has_slopes else ()
        names = [m.set_name for m in metrics if m.is_differentiable]
        return self.make_proxy(slope_sets=tuple(dict.fromkeys(names)))

    def make_proxy(self, *, slope_sets: tuple[str, ...]) -> ProxyScorer:
        """A proxy that takes the slopes of these evaluation sets when slopes are wanted."""
        names, horizons, answers = self.recipe.domain_names, self.inputs.horizons, self.answers
        by_runs = BY_RUNS if self.ground == "language models" else BY_CHECKED_RUNS
        return ProxyScorer(
            make_parts(self, slope_sets),
            [*(Mixture.single(names, name) for name in names), Mixture.uniform(names)],
            horizons.effective(self.recipe.n_steps),
            answers.likelihoods,
            answers.averaged,
            " and ".join(self.rule.name if m == "merged" else m for m in answers.means),
            lambda: self.base_observation.values,
            BY_GRADIENTS if horizons.expert_method == "gradients" else by_runs,
        )

    @cached_property
    def merged(self) -> MergedScorer:
        """The experts merged at the end of their runs, as they are."""
        return self.make_merged(self.merges, ())

    def make_merged(self, merges: MergeSettings, slope_sets: tuple[str, ...]) -> MergedScorer:
        """A scorer of merges of some experts."""
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
            self.merges_at(self.answers.points[-1]),
            steps=None,
            extras=self._extra_runs(),
            second_moments=tuple(
                self._hash_moments(f) for f in folders if "second moments" in self.rule.needs
            ),
        )

    def merges_at(self, steps: int) -> MergeSettings:
        """What is merged at a point of the experts' runs."""
        return MergeSettings(
            self.experts_at(steps),
            self.rule.name,
            self.study.store_folder,
            self.recipe.engine.task_vectors,
            steps,
            heads=self.kept_heads,
        )

    def experts_at(self, steps: int) -> dict[str, Checkpoint]:
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
        runs = [self._extra(job) for job in self.runs.extra_jobs()]
        if "trajectories" in self.rule.needs:
            runs += [run for domain in self.recipe.domains for run in self._trajectory(domain)]
        if "references" in self.rule.needs:
            runs += self._reference_runs()
        return tuple(runs)

    def _extra(self, job: Run) -> ExtraRun:
        return ExtraRun(job.mixture, self.runs.trained(job, f"the run on `{job.mixture}`"))

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
        seed = self.runs.reference_seeds(1)[0]
        return [self._extra(self.runs.job(mixture, seed)) for mixture in mixtures]

    def _hash_moments(self, folder: Any) -> str:
        file = folder / SECOND_MOMENTS_FILE
        return self.hash_file(file) if file.is_file() else "missing"

    def reference(self, seeds: Sequence[int], make_job: MakeJob | None = None) -> ReferenceScorer:
        """The reference, with these training seeds, by the study's runs or by other ones."""
        return ReferenceScorer(
            make_job or self.runs.job,
            self.runs.engine,
            self.evaluations,
            self.ledger,
            seeds=seeds,
            trainer=self.runs.trainer,
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

    # --- results ---------------------------------------------------------------------------------

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

    def score_of(self, observation: Observation) -> Score:
        """What an observation scored by the study's objective."""
        return Score.of(observation, self.objective, self.scale)

    def both_answers(self, reference: Reference, name: str = "") -> BothAnswers:
        """A mixture by both answers, as result files hold it."""
        runs = [(run.seeds[0], self.score_of(run)) for run in reference.runs]
        for run, (_, score) in zip(reference.runs, runs, strict=True):
            self.tracker.observe(run, score.objective)
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

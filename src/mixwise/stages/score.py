"""Score: any mixture, by either answer, with slopes and curvature in the shares if wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mixwise.arrays import Array
from mixwise.decision.score import Score
from mixwise.errors import DamagedError, RecipeError, StudyError
from mixwise.mixture import Mixture
from mixwise.observation import Answer, Derivatives, Observation
from mixwise.scorer import SLOPES, VALUES, Request
from mixwise.search.problem import distinct, mixture_of
from mixwise.stages.price import price_words, untrained
from mixwise.study.result_files import result_to_json
from mixwise.study.workbench import Workbench


@dataclass(frozen=True, slots=True)
class ScoredMixture:
    """A mixture that was asked for.

    Args:
        answer: ``proxy`` or ``reference``.
        rule: Merge rule of the proxy, else empty.
        seeds: Of the reference's runs.
        score: Its objective and metrics.
        derivatives: ``slopes``, ``hessian``, ``example_slopes`` and ``example_hessians``, as far as
            they were asked for: by metric, the domains in the mixture's order.
        outside: What of the search's limits it breaks, in words; empty where it may be recommended.
    """

    answer: str
    rule: str
    seeds: tuple[int, ...]
    score: Score
    derivatives: Mapping[str, Mapping[str, list[Any] | None]]
    outside: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """All of it in one object."""
        own: dict[str, Any] = {
            "answer": self.answer,
            "rule": self.rule,
            "seeds": list(self.seeds),
            "outside": list(self.outside),
        }
        return own | result_to_json(self.score) | dict(self.derivatives)


REQUESTS = {"none": VALUES, "slopes": SLOPES, "hessian": Request(order=2)}


def score_mixtures(
    workspace: Workbench,
    texts: Sequence[str],
    answer: Answer,
    request: Request = VALUES,
    *,
    may_train: bool = False,
    on_note: Callable[[str], None] = lambda note: None,
) -> list[ScoredMixture]:
    """Score mixtures that are written as text.

    Args:
        workspace: The study.
        texts: Mixtures such as ``math=0.7,code=0.3``.
        answer: ``proxy`` merges the experts; ``reference`` trains, with as many seeds as the
            recipe's validation.
        request: Which derivatives are wanted; the proxy alone has them.
        may_train: Whether the proxy may train what its merge rule needs besides the experts.
        on_note: Told what will be trained, before it is.

    Returns:
        One per different mixture.

    Raises:
        RecipeError: If a text is no mixture of the study's domains, if slopes of a reference are
            wanted, or if the merge rule needs runs that are not trained and must not be.
    """
    mixtures = distinct([Mixture.parse(text, workspace.recipe.domain_names) for text in texts])
    if answer == "proxy":
        _train_what_the_rule_needs(workspace, may_train=may_train, on_note=on_note)
        sets = workspace.recipe.set_names
        scorer = workspace.make_proxy(slope_sets=sets) if request.order else workspace.proxy
        observations = scorer.score(mixtures, request)
    elif request.order:
        raise RecipeError(
            "a trained model has no slopes in the shares: ask for them with `--answer proxy`"
        )
    else:
        seeds = workspace.runs.reference_seeds(workspace.recipe.validation.seeds)
        missing = untrained([workspace.runs.job(m, seed) for m in mixtures for seed in seeds])
        if missing:
            on_note(f"the reference trains: {price_words(workspace, missing)}")
        observations = workspace.reference(seeds).score(mixtures)
    space = workspace.inputs.space
    return [
        ScoredMixture(
            o.answer,
            o.rule,
            o.seeds,
            workspace.score_of(o),
            _derivatives(o, request),
            space.broken(mixture_of(o)),
        )
        for o in observations
    ]


def _train_what_the_rule_needs(
    workspace: Workbench, *, may_train: bool, on_note: Callable[[str], None]
) -> None:
    missing = untrained(workspace.runs.extra_jobs())
    if not missing or workspace.is_read_only:  # what is not trained is not known
        return
    rule, price = workspace.rule.name, price_words(workspace, missing)
    if not may_train:
        raise RecipeError(
            f"merge rule `{rule}` needs models besides the experts that are not trained yet "
            f"({price}): add `--train` to train them, or choose a rule that needs none, such as "
            "`--rule linear`"
        )
    on_note(f"merge rule `{rule}` trains what it needs besides the experts: {price}")
    workspace.runs.train_extra_runs()


def known_scores(
    workspace: Workbench, texts: Sequence[str], answer: Answer, request: Request = VALUES
) -> list[ScoredMixture] | None:
    """The same scores, read from the ledger; None when one of them is not there.

    Args:
        workspace: The study, opened for reading.
        texts: As in `score_mixtures`.
        answer: As there.
        request: As there.
    """
    try:
        return score_mixtures(workspace, texts, answer, request)
    except (StudyError, DamagedError):  # not measured, not even trained, or not as it was written
        return None


def _derivatives(observation: Observation, request: Request) -> dict[str, Any]:
    """What was asked for, by kind and metric; metrics without derivatives are left out."""
    kinds = ["slopes"] * (request.order > 0) + ["hessian"] * (request.order > 1)
    if request.per_example:
        kinds += ["example_slopes"] * (request.order > 0) + ["example_hessians"] * (
            request.order > 1
        )
    return {
        kind: {
            m.metric: _numbers(m.derivatives, kind)
            for m in observation.measurements
            if m.derivatives is not None
        }
        for kind in kinds
    }


def _numbers(derivatives: Derivatives, kind: str) -> list[Any] | None:
    numbers: Array | None = getattr(derivatives, kind)
    return None if numbers is None else numbers.tolist()

"""Merge to Mix as published, and mixwise, on classifiers of drawings and of sentences.

    python -m benchmarks.merge_to_mix

Needs the tables of `benchmarks.truth.subsets_bed`. Computes for seconds, trains nothing.

Method:
    A target is a test set of a vendor that no domain of the mixtures holds; every vendor is left
    out in turn. ρ and r are Spearman's and Pearson's, over all plain averages of subsets, of a
    way's scores with the accuracy of trained models (mean of three seeds): the mean over targets,
    with 95 % bootstrap intervals over subsets, and beside it what the seeds allow; *ρ, loss* is ρ
    with minus the trained models' loss. Regret is the best accuracy less the pick's, in points, the
    mean over targets, of subsets, and of subsets and ratios (two seeds) together; its intervals
    draw targets. *A perfect proxy* loses what noise between seeds makes it lose
    (`mixwise.decision.fidelity`).

    Rivals: similarity takes the domains whose mean features, at the base, are most like the
    target's: the first alone, or the first half of them. The best expert is the single domain whose
    expert is best on the target. Random is the mean over all subsets.

    The predicted verdict (`mixwise.decision.trust`) is judged as in `benchmarks.verdict`, and with
    its limits: a case is an objective (a set, their mean, or a random mean of sets), a bed and a
    length of the experts, and works where ρ of the merges' losses is at least nine tenths of what
    the seeds allow.

Source:
    Tao et al. 2025 (arXiv 2505.16066), Merge to Mix; how its rival measures similarity is not known
    to us. Wang et al. 2026 (arXiv 2601.17858), MergeMix: the same merges, asked of ratios, and
    trees fitted to them, with the candidates as seed points.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from benchmarks.claims import Claim, save_claims
from benchmarks.labelled_problems import Answers, Measure, Problem, problems
from benchmarks.truth.labelled import LABELLED_BEDS
from benchmarks.truth.labelled_table import load_at_base
from benchmarks.truth.subsets_bed import MERGED_POINTS, STEPS
from benchmarks.verdict import area, balanced_accuracy

from mixwise.arrays import Array
from mixwise.decision.agreement import spearman_rows
from mixwise.decision.fidelity import measure_fidelity
from mixwise.decision.trust import CURVATURE_LIMIT, LARGE_UPDATE, RANK_LIMIT, curvature_ratio
from mixwise.diagnostics.interference import predict_linear
from mixwise.search.surrogates.regressors import fit_trees

DEVELOPMENT = "digits"
_N_BOOTSTRAP = 2000
_N_RANDOM = 25
_POINTS = 100  # of accuracy
_PAPER = 0.57  # mean correlation that the paper reports for language
_SHORT, _QUARTER = 6, 30  # steps of experts: T/20, T/4
PUBLISHED = "merge, accuracy (Merge to Mix)"
PERFECT = "a perfect proxy"
DEFAULT = "mixwise, experts of T/4"


def _mergemix(problem: Problem) -> Array:
    scores = problem.scores("merged", STEPS, "accuracy")[:, None]
    return fit_trees(problem.shares, scores, seed=0)(problem.shares)[:, 0]


WAYS: Mapping[str, Callable[[Problem], Array]] = {
    PUBLISHED: lambda p: p.scores("merged", STEPS, "accuracy"),
    "merge, accuracy, trees (MergeMix)": _mergemix,
    "merge, loss": lambda p: p.scores("merged", STEPS, "loss"),
    "predictions, accuracy": lambda p: p.scores("predictions", STEPS, "accuracy"),
    "predictions, loss (MixMin)": lambda p: p.scores("predictions", STEPS, "loss"),
    "merge, accuracy, experts of T/20": lambda p: p.scores("merged", _SHORT, "accuracy"),
    "merge, loss, experts of T/20": lambda p: p.scores("merged", _SHORT, "loss"),
    DEFAULT: lambda p: p.continued("merged", _QUARTER),
    "predictions, continued, experts of T/4": lambda p: p.continued("predictions", _QUARTER),
    "predictions, continued, experts of T/20": lambda p: p.continued("predictions", _SHORT),
}


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure and its 95 % interval."""

    value: float
    low: float
    high: float

    @classmethod
    def of(cls, draws: Array) -> Figure:
        """From bootstrap draws, of which the first is the figure itself."""
        low, high = np.nanpercentile(draws[1:], [2.5, 97.5]).tolist()
        return cls(float(draws[0]), low, high)

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f} to {self.high:.2f})".replace("-", "−")


def correlation(
    asked: Sequence[Problem],
    way: Callable[[Problem], Array],
    of_rows: Callable[[Array, Array], Array] = spearman_rows,
    measure: Measure = "accuracy",
) -> Figure:
    """Mean over targets of the correlation of scores and truth; mixtures are drawn."""
    rng = np.random.default_rng(0)
    means = []
    for problem in asked:
        scores, truth = way(problem), _mean(problem, measure)
        rows = rng.integers(0, len(truth), (_N_BOOTSTRAP, len(truth)))
        rows = np.concatenate([np.arange(len(truth))[None], rows])
        means.append(of_rows(scores[rows], truth[rows]))
    return Figure.of(np.nanmean(means, axis=0))


def pearson_rows(x: Array, y: Array) -> Array:
    """Pearson's r of each row of two ``(m, n)`` arrays; NaN where a row is constant."""
    x, y = (values - values.mean(axis=1, keepdims=True) for values in (x, y))
    scale = np.sqrt((x**2).sum(axis=1) * (y**2).sum(axis=1))
    return np.divide((x * y).sum(axis=1), scale, out=np.full(len(x), np.nan), where=scale > 1e-12)


def ceiling(asked: Sequence[Problem]) -> float:
    """Mean over targets of the ρ that a perfect proxy would reach against these seeds."""
    found = [measure_fidelity(_mean(p), p.truth(), sign=1, seed=0).ceiling for p in asked]
    return float(np.mean([value for value in found if value is not None]))


def _mean(problem: Problem, measure: Measure = "accuracy") -> Array:
    return np.asarray(np.nanmean(problem.truth(measure), axis=1))


def picks_of(problem: Problem, similarities: Array) -> dict[str, Array]:
    """Accuracies of what each method may pick, equally likely."""
    truth = _mean(problem)
    names = list(LABELLED_BEDS[problem.answers.bed].vendors)
    of_target = similarities[names.index(problem.target)]
    nearest = sorted(problem.domains, key=lambda name: -of_target[names.index(name)])
    n_half = -(-len(nearest) // 2)
    singles = [problem.place([name]) for name in problem.domains]
    experts = problem.scores("merged", STEPS, "accuracy")[singles]
    places = {
        "random": list(range(len(truth))),
        "all data": [problem.place(problem.domains)],
        "single sets": singles,
        "best expert": [singles[int(experts.argmax())]],
        "most similar": [problem.place(nearest[:1])],
        "most similar half": [problem.place(nearest[:n_half])],
        **{name: [int(way(problem).argmax())] for name, way in WAYS.items()},
    }
    return {name: truth[chosen] for name, chosen in places.items()}


def regrets(asked: Sequence[Problem], similarities: Array) -> dict[str, Figure]:
    """Mean regret of each method in points of accuracy; targets are drawn."""
    rows: dict[str, list[float]] = {}
    for problem in asked:
        best = _mean(problem).max()
        for name, accuracies in picks_of(problem, similarities).items():
            rows.setdefault(name, []).append(_POINTS * float(best - accuracies.mean()))
        noiseless = measure_fidelity(_mean(problem), problem.truth(), sign=1, seed=0).noiseless
        floor = noiseless.regret.value if noiseless else None
        rows.setdefault(PERFECT, []).append(_POINTS * (floor or 0.0))
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, len(asked), (_N_BOOTSTRAP, len(asked)))
    drawn = np.concatenate([np.arange(len(asked))[None], drawn])
    return {name: Figure.of(np.array(found)[drawn].mean(axis=1)) for name, found in rows.items()}


@dataclass(frozen=True, slots=True)
class Case:
    """What the verdict foresaw of an objective, and what came out.

    Args:
        unit: Bed and length of the experts.
        curvature: b, second order over first.
        size: Largest relative size of a task vector.
        works: Whether the merges rank.
    """

    unit: tuple[str, int]
    curvature: float
    size: float
    works: bool

    @property
    def is_trusted(self) -> bool:
        """What the predicted verdict says."""
        return self.curvature <= CURVATURE_LIMIT and self.size <= LARGE_UPDATE


def cases_of(answers: Answers) -> list[Case]:
    """Cases of a bed; those that seeds rank at random are left out."""
    names, found = tuple(LABELLED_BEDS[answers.bed].vendors), load_at_base(answers.bed)
    chosen = [mixture for mixture in answers.mixtures if len(mixture.support) > 1]
    truth = answers.truth(chosen, "loss")
    shares = np.array([mixture.shares for mixture in chosen])
    cases = []
    for steps in MERGED_POINTS:
        derivatives = found.interactions[steps]
        merged = answers.values("merged", steps, chosen, "loss")
        first = shares @ derivatives.slopes.T
        second = predict_linear(derivatives, shares) - first
        for parts in _objectives(len(names)):
            runs = [run[np.isfinite(run)] for run in truth @ parts]
            fidelity = measure_fidelity(merged @ parts, [r.tolist() for r in runs], sign=1, seed=0)
            rho, limit = fidelity.spearman.value, fidelity.ceiling
            if rho is None or limit is None or limit <= 0:
                continue
            b = curvature_ratio(first @ parts, second @ parts)
            size = max(found.relative_sizes[steps])
            cases.append(Case((answers.bed, steps), b, size, rho >= RANK_LIMIT * limit))
    return cases


def _objectives(n: int) -> list[Array]:
    rng = np.random.default_rng(0)
    parts = [*np.eye(n), np.ones(n)]
    for _ in range(_N_RANDOM):
        parts.append(np.zeros(n))
        parts[-1][rng.choice(n, rng.integers(2, n), replace=False)] = 1
    return [part / part.sum() for part in parts]


def verdict_claims(cases: Sequence[Case], where: str) -> list[Claim]:
    """ROC area of b, and balanced accuracy of the verdict; beds and lengths are drawn whole."""
    units = sorted({case.unit for case in cases})
    rng = np.random.default_rng(0)
    draws = [np.arange(len(units)), *rng.integers(0, len(units), (_N_BOOTSTRAP, len(units)))]
    by_unit = [[case for case in cases if case.unit == unit] for unit in units]
    rows = []
    for drawn in draws:
        own = [case for k in drawn for case in by_unit[k]]
        works = np.array([case.works for case in own])
        said = np.array([0.0 if case.is_trusted else 1.0 for case in own])
        b = np.array([case.curvature for case in own])
        rows.append((area(b, works), balanced_accuracy(said, works, 0.5)))
    figures = [Figure.of(np.array(column)) for column in zip(*rows, strict=True)]
    names = ("ROC area of b", "balanced accuracy of the verdict")
    n = len(cases)
    trusted, works = sum(c.is_trusted for c in cases), sum(c.works for c in cases)
    print(f"\nverdict, {where}: {n} cases, {works} work, {trusted} trusted")
    return [
        Claim(f"{where}: {name}", figure.value, figure.low, figure.high, n)
        for name, figure in zip(names, figures, strict=True)
    ]


def report(bed: str) -> list[Claim]:
    """Print the tables of a bed, and give what is claimed."""
    answers, at_base = Answers.of(bed), load_at_base(bed)
    asked, by_ratios = problems(answers, "subsets"), problems(answers, "ratios")
    counts = "; ".join(
        f"{p.target} {len(p.mixtures)}, {len(q.mixtures)}"
        for p, q in zip(asked, by_ratios, strict=True)
    )
    allowed, allowed_ratios = ceiling(asked), ceiling(by_ratios)
    print(f"\n{bed} ({_use(bed)}), subsets and ratios by target: {counts}")
    print(f"the seeds allow ρ {allowed:.2f} over subsets, {allowed_ratios:.2f} over ratios")
    print("\n| way | ρ | r | ρ by ratios | ρ, loss |\n| --- | --- | --- | --- | --- |")
    claims = []
    n = sum(len(problem.mixtures) for problem in asked)
    for name, way in WAYS.items():
        ranks, ratios = correlation(asked, way), correlation(by_ratios, way)
        linear, of_loss = (
            correlation(asked, way, pearson_rows),
            correlation(asked, way, measure="loss"),
        )
        print(f"| {name} | {ranks} | {linear} | {ratios} | {of_loss} |")
        is_asked = bed != DEVELOPMENT and name in (PUBLISHED, DEFAULT)
        goal = max(_PAPER, RANK_LIMIT * allowed) if is_asked else None
        what = f"{bed}: ρ of {name}"
        claims.append(Claim(what, ranks.value, ranks.low, ranks.high, n, at_least=goal))
    of_subsets = regrets(asked, at_base.similarities)
    of_all = regrets(problems(answers, "all"), at_base.similarities)
    print("\nregret, points of accuracy\n\n| pick | subsets | and ratios |\n| --- | --- | --- |")
    for name, figure in of_subsets.items():
        print(f"| {name} | {figure} | {of_all[name]} |")
    rivals = [f.value for name, f in of_subsets.items() if name not in (*WAYS, PERFECT)]
    goal = None if bed == DEVELOPMENT else min(rivals) / 2
    for name in (PUBLISHED, DEFAULT):
        figure, what = of_subsets[name], f"{bed}: regret of {name}, points"
        claims.append(Claim(what, figure.value, figure.low, figure.high, len(asked), at_most=goal))
    return claims


def _use(bed: str) -> str:
    return "development" if bed == DEVELOPMENT else "report"


def main() -> None:
    """Print all tables, and keep the figures."""
    claims = [claim for bed in LABELLED_BEDS for claim in report(bed)]
    cases = {bed: cases_of(Answers.of(bed)) for bed in LABELLED_BEDS}
    for bed, own in cases.items():
        claims += verdict_claims(own, bed)
    held_out = [case for bed, own in cases.items() if bed != DEVELOPMENT for case in own]
    claims += verdict_claims(held_out, "both report beds")
    save_claims("merge_to_mix", claims)


if __name__ == "__main__":
    main()

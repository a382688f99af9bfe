"""Study folders made by hand, in the form in which the stages write them."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixwise.decision.bootstrap import Standing
from mixwise.decision.drift import BestAt
from mixwise.decision.fidelity import Fidelity, measure_fidelity
from mixwise.decision.front import Front, FrontPoint
from mixwise.decision.outcome import Margin, Outcome
from mixwise.decision.score import Score
from mixwise.decision.trust import Trust
from mixwise.diagnostics.findings import Geometry
from mixwise.extrapolation import ContinuationError
from mixwise.files import seal
from mixwise.ledger import Ledger
from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation
from mixwise.study.result_files import FILES, result_to_json
from mixwise.study.results import (
    BothAnswers,
    CalibrationFound,
    Candidate,
    Causes,
    Cost,
    Diagnosis,
    FinalFound,
    FinalRun,
    HorizonFacts,
    InterferenceFacts,
    MetricFacts,
    ObjectiveFacts,
    ObjectiveTerm,
    PrecisionFacts,
    Profiles,
    Provenance,
    ProxyForecast,
    Rated,
    Recommendation,
    ReferenceForecast,
    RunCounts,
    SearchFound,
    SeedScore,
    Simplicity,
    ValidationFound,
)
from mixwise.study.snippets import Snippet, SnippetsFound

KEY = "0123abcd"
OLD_STAGES = ("search", "validation", "final")  # of a version that did not calibrate
ALL_STAGES = (*OLD_STAGES, "calibration", "diagnosis")
RECIPE = "base: base\n# a recipe of which the page shows the text\n"
MakeStudy = Callable[..., Path]


def save(folder: Path, result: Any, key: str = KEY) -> None:
    """Write a result as a stage does."""
    content = {"recipe": key, **result_to_json(result)}
    (folder / FILES[type(result)]).write_text(seal(content), encoding="utf-8")


@pytest.fixture
def make_study(tmp_path: Path) -> MakeStudy:
    def make(
        domains: Sequence[str] = ("math", "code", "web"),
        stages: Sequence[str] = ALL_STAGES,
        recipe: str = RECIPE,
        method: str = "lattice",
    ) -> Path:
        folder = tmp_path / f"study{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        (folder / "recipe.yaml").write_text(recipe, encoding="utf-8")
        parts = Parts(tuple(domains), method)
        makers = {
            "search": [parts.search, parts.recommendation, parts.snippets],
            "validation": [parts.validation],
            "final": [parts.final],
            "calibration": [parts.calibration, parts.calibrated_recommendation],
            "diagnosis": [parts.diagnosis],
        }
        for stage in stages:
            for make_result in makers[stage]:
                save(folder, make_result())
        if stages:
            fill_ledger(folder / "ledger.sqlite", parts)
        return folder

    return make


class Parts:
    """The results of a study in which a domain's loss is 3 − its share."""

    def __init__(self, domains: tuple[str, ...], method: str) -> None:
        self.domains = domains
        self.method = method
        n = len(domains)
        self.best = self.mixture([2 * (n - k) / (n * (n + 1)) for k in range(n)])
        self.uniform = Mixture.uniform(domains)
        self.singles = {name: Mixture.single(domains, name) for name in domains}

    def mixture(self, shares: Sequence[float]) -> Mixture:
        return Mixture(self.domains, tuple(shares))

    def score(self, mixture: Mixture, bonus: float = 0.0) -> Score:
        shares, best = mixture.as_dict(), self.best.as_dict()
        metrics = {f"{name}/loss": 3 - share - bonus for name, share in shares.items()}
        objective = 1 - sum(abs(shares[d] - best[d]) for d in self.domains) + bonus
        return Score(mixture, objective, metrics)

    def both(
        self, mixture: Mixture, bonuses: Sequence[float], name: str = "", gain: float | None = None
    ) -> BothAnswers:
        scores = [self.score(mixture, bonus) for bonus in bonuses]
        runs = [SeedScore(k, s.objective, s.metrics) for k, s in enumerate(scores, start=1)]
        return BothAnswers(name, self.score(mixture), tuple(runs), gain)

    def named(self) -> dict[str, Mixture]:
        return {"uniform": self.uniform} | {f"only {d}": m for d, m in self.singles.items()}

    def objective(self) -> ObjectiveFacts:
        return ObjectiveFacts(
            "mean", (ObjectiveTerm(f"{self.domains[0]}/loss", "min", 1.0, 3.5, 0.5),)
        )

    def search(self) -> SearchFound:
        rows = [("", self.best), *self.named().items()]
        grid = (0.0, 0.5, 1.0)
        lines = {
            d: {f"{m}/loss": tuple(3 - x if m == d else 2 + x for x in grid) for m in self.domains}
            for d in self.domains
        }
        return SearchFound(
            method=self.method,
            source="Scheffé 1958",
            rule="linear",
            n_scored=len(rows),
            bounds=dict.fromkeys(self.domains, (0.0, 1.0)),
            objective=self.objective(),
            metrics={
                f"{name}/loss": MetricFacts("min", "nats/token", k == 0)
                for k, name in enumerate(self.domains)
            },
            surrogate=1.0,
            best=self.score(self.best),
            base=Score(None, 0.0, {f"{d}/loss": 3.5 for d in self.domains}),
            candidates=tuple(
                Candidate(name, self.score(mixture), within_bounds=k < 2)
                for k, (name, mixture) in enumerate(rows)
            ),
            profiles=Profiles(grid, lines),
            heldout={},
        )

    def recommendation(self) -> Recommendation:
        best, n = self.score(self.best), len(self.domains)
        return Recommendation(
            mixture=self.best,
            answer="Train on 50 % math, 33 % code and 17 % web.",
            proxy=ProxyForecast(best.objective, (0.875, 1.125), "examples", best.metrics),
            reference=ReferenceForecast(best.objective, (0.5, 1.5), "what is usual", 0),
            simplicity=None,
            near_optimal=(Rated("", best, None, "recommended"),),
            near_optimal_shares={},
            baselines=tuple(
                Rated(name, self.score(mixture), None, "behind")
                for name, mixture in self.named().items()
            ),
            fidelity=None,
            fidelity_calibrated=None,
            trust=Trust(
                "trust the ranking only",
                "predicted",
                False,
                ("no reference was trained to check it",),
                ("verify it: `mixwise run RECIPE --verify`",),
            ),
            horizons=HorizonFacts(
                expert_tokens=100,
                run_tokens=1000,
                points=(50, 100),
                answers=("merged", "predictions"),
                continued=tuple(f"{name}/loss" for name in self.domains),
                left=("quiz/accuracy",),
                coefficients={},
                error=ContinuationError(0.125, 0.5),
                path=(BestAt(4, self.uniform, 0.25), BestAt(8, self.best, 0.0)),
            ),
            outcome=None,
            cost=Cost(
                runs=RunCounts(n, 0, 16, 4),
                trained_tokens=RunCounts(1000 * n, 0, 16000, 4000),
                evaluated_tokens=5000,
                candidates_scored=40,
                search_runs_if_trained=40,
                price=0.1 * n,
                search_tokens_spent=1000 * n,
                search_tokens_if_trained=40000,
                search_tokens_avoided=40000 - 1000 * n,
            ),
            objective=self.objective(),
            run=FinalRun(64, 16, dict.fromkeys(self.domains, 4096)),
            provenance=Provenance(
                mixwise="0.1.0",
                recipe=KEY,
                recipe_alone=KEY,
                base="feed",
                experts=dict.fromkeys(self.domains, "feed"),
                data=dict.fromkeys(self.domains, "feed"),
                evaluation="feed",
                rule="linear",
                method=self.method,
                training_seed=0,
                search_seed=0,
            ),
        )

    def snippets(self) -> SnippetsFound:
        rows = (
            Snippet("trl", "for TRL", "# the mixture of trl\n", n_beside=1),
            Snippet("megatron", "for Megatron", "", refused="`a` holds chat: use `rows`"),
            Snippet("shares", "token counts as JSON", '{"tokens": 1}\n'),
        )
        return SnippetsFound(self.best, rows)

    def front(self, groups: Sequence[str], behind: float = 0.0) -> Front:
        """Mixtures of the first two domains: the share of one is the first gain, and so on."""
        recommended = self.best if not behind else self.uniform
        rest = (0.0,) * (len(self.domains) - 2)
        some = [self.mixture((x, 1 - x, *rest)) for x in (1.0, 0.75, 0.25, 0.0)]
        points = [self._point(mixture, groups) for mixture in [*some, self.best]]
        return Front(
            groups=tuple(groups),
            points=tuple(sorted(points, key=lambda point: -point.gains[0])),
            recommended=self._point(recommended, groups),
            behind=behind,
            n_scored=4,
            evaluated_tokens=400,
        )

    def _point(self, mixture: Mixture, groups: Sequence[str]) -> FrontPoint:
        gains = tuple((mixture.shares[0], 1 - mixture.shares[0], 0.5)[: len(groups)])
        ranges = tuple((gain - 0.25, gain + 0.25) for gain in gains)
        return FrontPoint(self.score(mixture), gains, ranges)

    def calibration(self) -> CalibrationFound:
        rows = ((None, self.uniform), (0.0625, self.best))
        mixtures = tuple(self.both(mixture, (0.125, 0.375), "", gain) for gain, mixture in rows)
        return CalibrationFound((1, 2), "linear", mixtures, 0.1875)

    def calibrated_recommendation(self) -> Recommendation:
        plain = self.recommendation()
        standings: tuple[Standing, ...] = ("equal", "behind", "ahead", "behind")
        baselines = zip(plain.baselines, standings, strict=False)
        spent = plain.cost.search_tokens_spent + 4000
        return replace(
            plain,
            reference=ReferenceForecast(1.0625, (0.75, 1.375), "what the proxy misses", 10),
            simplicity=Simplicity(
                "uniform", self.uniform, 0.5, 0.125, False, self.score(self.best)
            ),
            near_optimal_shares={
                name: (share / 2, (1 + share) / 2) for name, share in self.best.as_dict().items()
            },
            baselines=tuple(
                replace(row, expected=row.score.objective + 0.25, standing=standing)
                for row, standing in baselines
            ),
            fidelity_calibrated=self.validation().fidelity["objective"],
            trust=Trust(
                "trust the ranking only",
                "measured",
                False,
                ("over 8 references ρ is 1.00", "the mean error is 53 % of the deviation"),
                ("train more mixtures for calibration (`calibration.mixtures` is 2)",),
            ),
            cost=replace(
                plain.cost,
                runs=replace(plain.cost.runs, calibration=4),
                trained_tokens=replace(plain.cost.trained_tokens, calibration=4000),
                search_tokens_spent=spent,
                search_tokens_avoided=40000 - spent,
            ),
        )

    def diagnosis(self) -> Diagnosis:
        n = len(self.domains)
        cosines = tuple(tuple(row) for row in np.where(np.eye(n), 1.0, 0.25).tolist())
        nothing: dict[str, float] = {}
        return Diagnosis(
            geometry=Geometry(self.domains, (0.0125,) * n, cosines, ()),
            trajectory=(),
            interference=InterferenceFacts(
                self.domains, 0, {}, (), None, Causes(nothing, nothing, nothing), ()
            ),
            precision=PrecisionFacts((), {}, ()),
            fidelity=None,
            trust=Trust(
                "do not trust",
                "predicted",
                False,
                ("the second-order terms vary 2.00× as much",),
                ("validate",),
            ),
        )

    def validation(self) -> ValidationFound:
        shares = np.random.default_rng(0).dirichlet(np.ones(len(self.domains)), 8)
        rows = tuple(self.both(self.mixture(row / row.sum()), (0.125, 0.25)) for row in shares)
        names = ["objective", *(f"{name}/loss" for name in self.domains)]
        fidelity = {name: _fidelity(name, rows) for name in names}
        return ValidationFound((1, 2), "linear", rows, fidelity)

    def final(self) -> FinalFound:
        entries = {"recommended": self.best, "uniform": self.uniform}
        rows = tuple(self.both(m, (0.125, 0.375), name) for name, m in entries.items())
        margin = Margin("uniform", 0.5, 2.5, "behind")
        return FinalFound((1, 2), rows, Outcome("won", 0.2, (margin,)))


def _fidelity(name: str, rows: Sequence[BothAnswers]) -> Fidelity:
    x = np.array([row.proxy.value(name) for row in rows])
    y = np.array([[run.value(name) for run in row.runs] for row in rows])
    return measure_fidelity(x, y, sign=1 if name == "objective" else -1, seed=0)


def fill_ledger(path: Path, parts: Parts) -> None:
    ledger = Ledger(path)
    mixture = parts.uniform
    for k, (answer, tokens) in enumerate((("proxy", 0), ("proxy", 0), ("reference", 1000))):
        ledger.add(
            Observation(
                mixture=mixture,
                answer=answer,  # type: ignore[arg-type]
                rule="linear",
                seeds=(),
                measurements=(Measurement("a/loss", np.ones(2), np.ones(2)),),
                seconds=1.5,
                tokens_trained=tokens,
                tokens_evaluated=10,
                fingerprint=str(k),
            )
        )
    ledger.close()

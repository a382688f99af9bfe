"""Study folders made by hand, in the form in which the stages write them."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixwise.decision.fidelity import measure_fidelity
from mixwise.files import seal
from mixwise.ledger import Ledger
from mixwise.mixture import Mixture
from mixwise.observation import Measurement, Observation

KEY = "0123abcd"
OLD_STAGES = ("search", "validation", "final")  # of a version that did not calibrate
ALL_STAGES = (*OLD_STAGES, "calibration", "diagnosis")
RECIPE = "base: base\n# a recipe of which the page shows the text\n"
MakeStudy = Callable[..., Path]


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
            "search": [("search", parts.search), ("recommendation", parts.recommendation)],
            "validation": [("validation", parts.validation)],
            "final": [("final", parts.final)],
            "calibration": [
                ("calibration", parts.calibration),
                ("recommendation", parts.calibrated_recommendation),
            ],
            "diagnosis": [("diagnose", parts.diagnosis)],
        }
        for stage in stages:
            for name, content in makers[stage]:
                (folder / f"{name}.json").write_text(seal(content()), encoding="utf-8")
        if stages:
            fill_ledger(folder / "ledger.sqlite", parts)
        return folder

    return make


class Parts:
    """The JSON files of a study in which a domain's loss is 3 − its share."""

    def __init__(self, domains: tuple[str, ...], method: str) -> None:
        self.domains = domains
        self.method = method
        n = len(domains)
        self.best = {name: 2 * (n - k) / (n * (n + 1)) for k, name in enumerate(domains)}
        self.uniform = dict.fromkeys(domains, 1 / n)
        self.singles = {name: {d: float(d == name) for d in domains} for name in domains}

    def summary(self, mixture: dict[str, float], bonus: float = 0.0) -> dict[str, Any]:
        metrics = {f"{name}/loss": 3 - share - bonus for name, share in mixture.items()}
        objective = 1 - sum(abs(mixture[d] - self.best[d]) for d in self.domains) + bonus
        return {"mixture": mixture, "objective": objective, "metrics": metrics}

    def named(self) -> dict[str, dict[str, float]]:
        return {"uniform": self.uniform} | {f"only {d}": m for d, m in self.singles.items()}

    def search(self) -> dict[str, Any]:
        rows = [{"name": None, **self.summary(self.best)}]
        rows += [{"name": name, **self.summary(m)} for name, m in self.named().items()]
        grid = [0.0, 0.5, 1.0]
        lines = {
            d: {f"{m}/loss": [3 - x if m == d else 2 + x for x in grid] for m in self.domains}
            for d in self.domains
        }
        return {
            "recipe": KEY,
            "method": self.method,
            "source": "Scheffé 1958",
            "rule": "linear",
            "n_scored": len(rows),
            "predicted_by_surrogate": 1.0,
            "recommended": self.summary(self.best),
            "base": {"objective": 0.0, "metrics": {f"{d}/loss": 3.5 for d in self.domains}},
            "candidates": [row | {"within_bounds": k < 2} for k, row in enumerate(rows)],
            "profiles": {"shares": grid, "lines": lines},
        }

    def recommendation(self) -> dict[str, Any]:
        best = self.summary(self.best)
        n = len(self.domains)
        return {
            "mixture": self.best,
            "predicted": {
                "objective": best["objective"],
                "interval_95": [0.875, 1.125],
                "interval_from": "resampled evaluation examples",
                "reference_interval_95": [0.75, 1.375],
                "metrics": best["metrics"],
            },
            "near_optimal": [best],
            "baselines": [{"name": name, **self.summary(m)} for name, m in self.named().items()],
            "fidelity": None,
            "verdict": None,
            "cost": {
                "runs": {"experts": n, "validation": 16, "final": 4},
                "trained_tokens": {"experts": 1000 * n, "validation": 16000, "final": 4000},
                "evaluated_tokens": 5000,
                "candidates_scored": 40,
                "search_runs_if_trained": 40,
                "search_tokens_spent": 1000 * n,
                "search_tokens_if_trained": 40000,
                "search_tokens_avoided": 40000 - 1000 * n,
            },
            "provenance": {
                "mixwise": "0.1.0",
                "recipe": KEY,
                "experts": dict.fromkeys(self.domains, "feed"),
                "training_seed": 0,
            },
        }

    def calibration(self) -> dict[str, Any]:
        gains = {None: self.uniform, 0.0625: self.best}
        return {
            "recipe": KEY,
            "seeds": [1, 2],
            "rule": "linear",
            "mixtures": [
                {
                    "key": str(Mixture(self.domains, tuple(mixture.values()))),
                    "expected_gain": gain,
                    "proxy": self.summary(mixture),
                    "references": [
                        self.summary(mixture, bonus) | {"seed": seed}
                        for seed, bonus in ((1, 0.125), (2, 0.375))
                    ],
                }
                for gain, mixture in gains.items()
            ],
            "noise": 0.1875,
        }

    def calibrated_recommendation(self) -> dict[str, Any]:
        content = self.recommendation()
        content["predicted"] |= {"reference": 1.0625, "n_references": 10}
        ranges = {name: [share / 2, (1 + share) / 2] for name, share in self.best.items()}
        content["near_optimal_shares"] = ranges
        for row, standing in zip(content["baselines"], ("equal", "behind", "ahead"), strict=False):
            row |= {"reference": row["objective"] + 0.25, "standing": standing}
        content["fidelity_calibrated"] = self.validation()["fidelity"]["objective"]
        content["trust"] = {
            "word": "trust the ranking only",
            "basis": "measured",
            "is_clear": False,
            "reasons": ["over 8 references ρ is 1.00", "the mean error is 53 % of the deviation"],
            "remedies": ["train more mixtures for calibration (`calibration.mixtures` is 2)"],
        }
        content["cost"]["runs"]["calibration"] = 4
        content["cost"]["trained_tokens"]["calibration"] = 4000
        content["cost"]["search_tokens_spent"] += 4000
        content["cost"]["search_tokens_avoided"] -= 4000
        return content

    def diagnosis(self) -> dict[str, Any]:
        n = len(self.domains)
        return {
            "recipe": KEY,
            "geometry": {
                "domains": self.domains,
                "relative_sizes": [0.0125] * n,
                "cosines": np.where(np.eye(n), 1.0, 0.25).tolist(),
            },
            "verdict": {
                "word": "do not trust",
                "basis": "predicted",
                "is_clear": False,
                "reasons": ["the second-order terms vary 2.00× as much"],
                "remedies": ["validate"],
            },
        }

    def validation(self) -> dict[str, Any]:
        rng = np.random.default_rng(0)
        shares = rng.dirichlet(np.ones(len(self.domains)), 8)
        mixtures = [dict(zip(self.domains, row.tolist(), strict=True)) for row in shares]
        proxies = [self.summary(mixture) for mixture in mixtures]
        references = [[self.summary(m, 0.125), self.summary(m, 0.25)] for m in mixtures]
        names = ["objective", *(f"{name}/loss" for name in self.domains)]
        return {
            "recipe": KEY,
            "seeds": [1, 2],
            "rule": "linear",
            "mixtures": [
                {"proxy": proxy, "references": group}
                for proxy, group in zip(proxies, references, strict=True)
            ],
            "fidelity": {name: _fidelity(name, proxies, references) for name in names},
        }

    def final(self) -> dict[str, Any]:
        entries = {"recommended": self.best, "uniform": self.uniform}
        rows = [
            {
                "name": name,
                "mixture": mixture,
                "predicted": self.summary(mixture),
                "references": [self.summary(mixture, 0.125), self.summary(mixture, 0.375)],
                "reached": self.summary(mixture, 0.25)["objective"],
            }
            for name, mixture in entries.items()
        ]
        margin = {"baseline": "uniform", "margin": 0.5, "noise_widths": 2.5, "standing": "behind"}
        verdict = {"outcome": "won", "noise_width": 0.2, "margins": [margin]}
        return {"recipe": KEY, "seeds": [1, 2], "rows": rows, "verdict": verdict}


def _fidelity(
    name: str, proxies: list[dict[str, Any]], references: list[list[dict[str, Any]]]
) -> dict[str, Any]:
    def value(row: dict[str, Any]) -> float:
        return float(row["objective"] if name == "objective" else row["metrics"][name])

    x = np.array([value(row) for row in proxies])
    y = np.array([[value(row) for row in group] for group in references])
    return asdict(measure_fidelity(x, y, sign=1 if name == "objective" else -1, seed=0))


def fill_ledger(path: Path, parts: Parts) -> None:
    ledger = Ledger(path)
    mixture = Mixture(parts.domains, tuple(parts.uniform.values()))
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

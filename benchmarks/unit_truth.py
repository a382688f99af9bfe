"""Does the share of frivolous units tell how well experts merge? Over the truth bed's settings.

Method:
    For each setting that is complete: prunable and redundant units of its base and, on average, of
    its experts; and the error of the linear proxy: mean over mixtures and evaluation sets of
    |loss of the merged experts − mean loss of the references over seeds|, nats per token. Spearman
    ρ of share and error over settings; its interval resamples settings.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from benchmarks.claims import Claim
from benchmarks.truth.beds import BEDS, FIVE, Bed
from benchmarks.truth.design import planned
from benchmarks.truth.generate import missing_runs, open_bed
from benchmarks.truth.merges import load_merged, score_bed
from benchmarks.truth.table import load_runs
from scipy.stats import spearmanr

from mixwise.stages.units import UnitSettings, measure_study_units

_RULE = "linear"
_N_BOOTSTRAP = 1000
_LEAST_SETTINGS = 4
_SEQUENCES = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting, with the units of its base or of its experts.

    Args:
        name: Name of the bed.
        prunable: Prunability, mean over draws.
        redundant: Redundancy.
        proxy_error: Of the linear merge, nats per token.
    """

    name: str
    prunable: float
    redundant: float
    proxy_error: float


@dataclass(frozen=True, slots=True)
class Measured:
    """A setting by the units of its base, and by those of its experts."""

    base: Setting
    experts: Setting


def measure_settings(scratch: Path) -> list[Measured]:
    """Measure every setting whose table is complete and whose study lies in the scratch folder."""
    return [
        measure_setting(bed, scratch)
        for bed in BEDS.values()
        if (scratch / bed.name / "study").is_dir() and not missing_runs(bed)
    ]


def measure_setting(bed: Bed, scratch: Path) -> Measured:
    """Measure the units and the proxy's error of one setting."""
    error = proxy_error(bed, scratch)
    names = ["base", *(f"expert:{domain}" for domain in bed.domains)]
    with open_bed(bed, scratch) as workspace:
        found = measure_study_units(workspace, names, UnitSettings(n_sequences=_SEQUENCES))
    prunable = [units.prunable.mean for _, units in found.models]
    redundant = [units.redundant for _, units in found.models]
    return Measured(
        Setting(bed.name, prunable[0], redundant[0], error),
        Setting(bed.name, float(np.mean(prunable[1:])), float(np.mean(redundant[1:])), error),
    )


def proxy_error(bed: Bed, scratch: Path) -> float:
    """Error of the linear proxy, nats per token; merges what the bed's table of merges lacks.

    It is taken over the twelve mixtures of the smallest design, which all settings of the same
    domains share, or over all references where those are others.
    """
    score_bed(bed, (_RULE,), scratch, common=bed.domains == FIVE)
    merged = {row.mixture: row.losses for row in load_merged(bed) if row.rule == _RULE}
    truth = defaultdict(list)
    for run in load_runs(bed):
        if run.kind == "reference" and run.mixture in merged:
            truth[run.mixture].append([run.losses[name] for name in bed.sets])
    few = {row.mixture for row in planned("few", FIVE)}
    chosen = [mixture for mixture in truth if mixture in few] or list(truth)
    errors = [
        np.mean(truth[mixture], axis=0) - [merged[mixture][name] for name in bed.sets]
        for mixture in chosen
    ]
    return float(np.abs(errors).mean())


def relate(settings: Sequence[Setting], whose: str) -> list[Claim]:
    """Spearman ρ of each share of units and the proxy's error, over settings.

    Args:
        settings: The settings; fewer than four give no figures.
        whose: Whose units they are.
    """
    if len(settings) < _LEAST_SETTINGS:
        return []
    errors = np.array([setting.proxy_error for setting in settings])
    shares = {
        "prunable": np.array([setting.prunable for setting in settings]),
        "redundant": np.array([setting.redundant for setting in settings]),
    }
    what = "rank correlation of proxy error and share of {} units of the {}, over settings"
    return [
        Claim(what.format(kind, whose), *_spearman(share, errors), n=len(settings))
        for kind, share in shares.items()
    ]


def _spearman(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Figure and 95 % interval; draws in which all settings are alike are left out."""
    rng = np.random.default_rng(0)
    draws = rng.integers(0, len(x), (_N_BOOTSTRAP, len(x)))
    usable = [d for d in draws if len(set(x[d])) > 1 and len(set(y[d])) > 1]
    low, high = np.percentile([spearmanr(x[d], y[d]).statistic for d in usable], [2.5, 97.5])
    return float(spearmanr(x, y).statistic), float(low), float(high)

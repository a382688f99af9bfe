"""Frivolous units: their growth with width, and whether they tell how well experts merge.

python -m benchmarks.units [--bases DIR] [--scratch DIR]     growth with width
python -m benchmarks.units --truth --scratch DIR             shares and the proxy's error
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from itertools import pairwise
from pathlib import Path

import numpy as np
from benchmarks.claims import Claim, save_claims
from benchmarks.truth.beds import BEDS
from benchmarks.unit_figures import draw_growth, draw_truth, save_svg
from benchmarks.unit_growth import (
    FAMILIES,
    LANGUAGE,
    Sample,
    classifier_samples,
    language_samples,
    measure_growth,
)
from benchmarks.unit_truth import measure_settings, relate

DOCS = Path(__file__).parents[1] / "docs"
_SEEDS = (0, 1, 2)
_LEAST_WIDTHS = 3
_MAY_FALL = {LANGUAGE: 0.0}  # nats; of the others, accuracy:
_MAY_FALL_ACCURACY = 0.01  # six of the 599 test images


def growth_claims(samples: Sequence[Sample]) -> list[Claim]:
    """The paper's claims, on one family of networks."""
    family = samples[0].family
    grown = {found.kind: found.factors for found in measure_growth(samples)}
    claims = [
        Claim(
            f"growth of {kind} units per doubling of width, {family}",
            float(np.mean(factors)),
            min(factors),
            max(factors),
            n=len(factors),
        )
        for kind, factors in grown.items()
    ]
    faster = max(grown["prunable"], grown["redundant"], key=np.mean)
    what = f"the faster of prunable and redundant, {family}"
    reach = (float(np.mean(faster)), min(faster), max(faster))
    return [*claims, Claim(what, *reach, n=len(faster), at_least=2.0), _quality_claim(samples)]


def _quality_claim(samples: Sequence[Sample]) -> Claim:
    """How far quality falls from any width to the next, at worst."""
    family = samples[0].family
    widths = sorted({sample.width for sample in samples})
    means = [np.mean([s.quality for s in samples if s.width == width]) for width in widths]
    falls = [float(a - b) for a, b in pairwise(means)]
    unit = "nats of held-out loss" if family == LANGUAGE else "test accuracy"
    return Claim(
        f"fall of {unit} from a width to the next, at worst, {family}",
        max(falls),
        min(falls),
        max(falls),
        n=len(falls),
        at_most=_MAY_FALL.get(family, _MAY_FALL_ACCURACY),
    )


def measure_widths(bases: Path | None, scratch: Path) -> None:
    """Train and measure networks of all widths; write claims and figure."""
    samples: list[Sample] = []
    for family in FAMILIES:
        samples += _told(classifier_samples(family, _SEEDS))
    models = _told(language_samples(bases, scratch)) if bases else []
    if len(models) < _LEAST_WIDTHS:
        print(f"{LANGUAGE}: fewer than {_LEAST_WIDTHS} widths: left out", flush=True)
    else:
        samples += models
    save_growth(samples)


def save_growth(samples: Sequence[Sample]) -> None:
    """Write claims and figure of all families."""
    claims: list[Claim] = []
    for family in dict.fromkeys(sample.family for sample in samples):
        claims += growth_claims([sample for sample in samples if sample.family == family])
    save_claims("units", claims, samples=[asdict(sample) for sample in samples])
    save_svg(draw_growth(samples), DOCS / "units-width.svg")


def _told(samples: Iterable[Sample]) -> list[Sample]:
    """All samples, each printed when it is there."""
    found = []
    for sample in samples:
        print(sample, flush=True)
        found.append(sample)
    return found


def measure_truth(scratch: Path) -> None:
    """Measure all complete settings of the truth bed; write claims and figure."""
    measured = measure_settings(scratch)
    base, experts = [m.base for m in measured], [m.experts for m in measured]
    claims = relate(base, "base") + relate(experts, "experts")
    for settings, whose in ((base, "base"), (experts, "experts")):
        ladder = [setting for setting in settings if BEDS[setting.name].width]
        claims += relate(ladder, f"{whose}, widths alone")
    rows = {"base": [asdict(s) for s in base], "experts": [asdict(s) for s in experts]}
    save_claims("units_truth", claims, settings=rows)
    if measured:
        save_svg(draw_truth(base, experts), DOCS / "units-proxy-error.svg")


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bases", type=Path, help="folder of bases of other widths")
    parser.add_argument("--scratch", type=Path, help="keeps tokens, and the studies of the beds")
    parser.add_argument("--truth", action="store_true", help="relate shares and the proxy's error")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        scratch = given.scratch or Path(temporary)
        if given.truth:
            measure_truth(scratch)
        else:
            bases = given.bases or scratch / "bases"
            measure_widths(bases if bases.is_dir() else None, scratch / "units")


if __name__ == "__main__":
    main()

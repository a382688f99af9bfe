"""What precision costs the score: stores and live models, against merges in float32.

Experts of the demo's base, trained for 16 k tokens gently (learning rate 1e-4), for 16 k tokens and
for 131 k tokens (1e-3); five mixtures; the loss on three sets that none of them was trained on. The
truth is the merge in float32, straight from the checkpoints, in a float32 live model. An error is
told relative to the merge's own effect, score of the merge − score of the base, both as root mean
squares over the mixtures; a figure is that of the worst set, its spread goes over the sets.

Live models below float32 are judged twice: by the score itself (raw), and by the score less that of
the base in the same live model, which is what an objective compares. Gentle experts move the score
by some thousandths of a nat, which is the hardest case; the goal is the same for them.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from benchmarks.claims import Claim, save_claims
from benchmarks.models import (
    DEMO,
    DEMO_DOMAINS,
    HORIZONS,
    add_scratch_option,
    demo_experts,
    demo_sequences,
    scratch_folder,
)

from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.merging.task_vectors.encoding import StorePrecision
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint, open_checkpoint
from mixwise.models.live_model import LiveModel, Precision, Rounding

SETS = ("outils", "libc", "sqlite")
N_SEQUENCES = 32
STORES: tuple[StorePrecision, ...] = ("float32", "bfloat16", "int8")
GOAL = 0.02


@dataclass(frozen=True, slots=True)
class Variant:
    """A live model below float32.

    Args:
        precision: Its dtype.
        rounding: How values are brought to it.
        n_draws: Draws of stochastic rounding whose scores are averaged.
        is_used: Whether mixwise evaluates so, and it must reach the goal; others are shown.
    """

    precision: Precision
    rounding: Rounding
    n_draws: int
    is_used: bool

    @property
    def name(self) -> str:
        """In words."""
        draws = f", mean of {self.n_draws} draws" if self.n_draws > 1 else ""
        return f"{self.precision} live model, {self.rounding}{draws}"


VARIANTS = (
    Variant("bfloat16", "nearest", 1, is_used=False),
    Variant("bfloat16", "stochastic", 1, is_used=True),
    Variant("bfloat16", "stochastic", 2, is_used=False),
    Variant("float16", "nearest", 1, is_used=True),
)


def mixtures() -> list[Mixture]:
    """The uniform mixture and four drawn ones."""
    draws = np.random.default_rng(0).dirichlet(np.ones(len(DEMO_DOMAINS)), size=4)
    drawn = [Mixture(DEMO_DOMAINS, tuple(shares.tolist())) for shares in draws]
    return [Mixture.uniform(DEMO_DOMAINS), *drawn]


def scores(pool: ExpertPool, sets: Sequence[torch.Tensor]) -> np.ndarray:
    """Loss of the base (first row) and of each mixture on each set, in nats."""
    rows = [losses(pool.live, pool.live.base, sets)]
    for mixture in mixtures():
        pool.merge(mixture, LINEAR)
        rows.append(losses(pool.live, None, sets))
    return np.array(rows)


def losses(
    live: LiveModel, checkpoint: Checkpoint | None, sets: Sequence[torch.Tensor]
) -> list[float]:
    """Loss on each set, of a checkpoint or of what the live model holds."""
    if checkpoint is not None:
        live.write_checkpoint(checkpoint)
    found = []
    with torch.inference_mode():
        for ids in sets:
            logits = live.module(input_ids=ids, use_cache=False).logits[:, :-1].float()
            nats = torch.nn.functional.cross_entropy(
                logits.transpose(1, 2), ids[:, 1:], reduction="none"
            )
            found.append(float(nats.double().mean()))
    return found


def compare(what: str, got: np.ndarray, truth: np.ndarray, goal: float | None) -> list[Claim]:
    """Two claims: of the scores themselves, and of their difference to the base's."""
    effect = root_mean_square(truth[1:] - truth[0])
    raw = root_mean_square(got[1:] - truth[1:]) / effect
    beside = root_mean_square((got[1:] - got[0]) - (truth[1:] - truth[0])) / effect
    n = len(truth) - 1
    return [
        Claim(f"{what}, raw", raw.max(), raw.min(), raw.max(), n),
        Claim(f"{what}, less the base", beside.max(), beside.min(), beside.max(), n, at_most=goal),
    ]


def root_mean_square(values: np.ndarray) -> np.ndarray:
    """Over the mixtures, per set."""
    return np.sqrt(np.mean(values**2, axis=0))


def measure(scratch: Path, horizon: str, sets: Sequence[torch.Tensor]) -> list[Claim]:
    """All stores and live models with the experts of one horizon."""
    base = open_checkpoint(DEMO / "base")
    experts = {n: open_checkpoint(f) for n, f in demo_experts(scratch, horizon).items()}
    live = LiveModel.load(base)
    truth = scores(ExpertPool(live, experts), sets)
    print(f"{horizon}: effect {root_mean_square(truth[1:] - truth[0]).round(4)} nats on {SETS}")
    claims = []
    for store in STORES:
        folder = scratch / "demo-store" / horizon / store
        pool = ExpertPool(live, experts, folder=folder, precision=store)
        worst = max(vector.relative_error for vector in pool.stored)
        print(f"{horizon}: {store} store, relative error of a task vector up to {worst:.1e}")
        claims += compare(f"{horizon}: {store} store", scores(pool, sets), truth, GOAL)[1:]
    return claims + measure_live(base, experts, horizon, truth, sets)


def measure_live(
    base: Checkpoint,
    experts: Mapping[str, Checkpoint],
    horizon: str,
    truth: np.ndarray,
    sets: Sequence[torch.Tensor],
) -> list[Claim]:
    """The live models below float32; draws are shared between the variants."""
    known: dict[tuple[Precision, Rounding, int], np.ndarray] = {}
    claims = []
    for variant in VARIANTS:
        for seed in range(variant.n_draws):
            draw = (variant.precision, variant.rounding, seed)
            if draw not in known:
                live = LiveModel.load(
                    base, precision=variant.precision, rounding=variant.rounding, seed=seed
                )
                known[draw] = scores(ExpertPool(live, experts), sets)
        draws = [known[variant.precision, variant.rounding, s] for s in range(variant.n_draws)]
        goal = GOAL if variant.is_used else None
        claims += compare(f"{horizon}: {variant.name}", np.mean(draws, axis=0), truth, goal)
    return claims


def main() -> None:
    """Measure, print and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_scratch_option(parser)
    options = parser.parse_args()
    torch.set_num_threads(1)
    sets = [torch.from_numpy(demo_sequences(name, N_SEQUENCES)) for name in SETS]
    with scratch_folder(options.scratch) as scratch:
        claims = [c for horizon in HORIZONS for c in measure(scratch, horizon, sets)]
    save_claims("precision", claims, sets=SETS, sequences=N_SEQUENCES)


if __name__ == "__main__":
    main()

"""What a study takes on devices that are not here: time and money, stage by stage.

Notation:
    P: parameters, Pₜ those that are trained.  D: tokens.  u: share of a device's FLOP/s that is
    reached.  g: devices of one run.  n: devices in all.

Method:
    A training token costs 6P FLOPs, or 8P where activations are computed again, with adapters
    4P + 2Pₜ (no gradients of frozen weights); a token that is evaluated 2P. A run has the fewest
    devices, a power of two, in whose memory it fits, and no fewer than the processes that the
    recipe spreads it over; n // g runs go side by side, in waves. Scoring a candidate reads every
    expert's task vector once, from the devices' memory where all of them fit there beside the
    model, else over the link to the host; then comes one evaluation, which all devices share.
    Checkpoints go through one disk. What takes longest of a stage is its bottleneck.

Departures:
    u is not known before a run: 0.35, between 0.2 and 0.5, unless it was measured. Communication
    within a run is part of it. No queueing, no failures: ``benchmarks/simulate.py`` has them.

Source:
    6P and 2P: Kaplan et al. 2020 (arXiv 2001.08361), §2.1. Shares of FLOP/s that are reached:
    Chowdhery et al. 2022 (arXiv 2204.02311), table 3, 0.21 to 0.46 of published runs.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from mixwise.recipe import Recipe
from mixwise.study.devices import Fleet
from mixwise.study.plan import RUN_SECONDS, START_SECONDS, ModelShape, Plan

UTILISATION = 0.35
LEAST_UTILISATION, MOST_UTILISATION = 0.2, 0.5
DISK_BANDWIDTH = 2e9  # bytes a second, of the whole fleet
_STORED_BYTES: Mapping[str, float] = {"float32": 4.0, "bfloat16": 2.0, "int8": 1 + 4 / 128}
_ROOM = 0.9  # of a device's memory that a run may take


@dataclass(frozen=True, slots=True)
class StageCost:
    """One stage.

    Args:
        name: What is done.
        seconds: Until it is over.
        bottleneck: What takes longest of it.
        busy: Share of the devices' time in which they have work.
    """

    name: str
    seconds: float
    bottleneck: str
    busy: float


@dataclass(frozen=True, slots=True)
class StudyCost:
    """A study on a fleet.

    Args:
        fleet: As it is written.
        n_devices: How many.
        run_devices: Of one run, so that it fits and each of its processes has one.
        stages: In their order; those that have nothing to do are left out.
        seconds_range: Of all stages, at the most and the least that devices reach.
        price_per_hour: Of one device, in whatever money; None where it is not known.
        notes: What does not fit, and what to do.
    """

    fleet: str
    n_devices: int
    run_devices: int
    stages: tuple[StageCost, ...]
    seconds_range: tuple[float, float]
    price_per_hour: float | None
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """Of all stages, one after the other."""
        return math.fsum(stage.seconds for stage in self.stages)

    def price(self, seconds: float) -> float | None:
        """Money for the whole fleet during so many seconds."""
        if self.price_per_hour is None:
            return None
        return self.price_per_hour * self.n_devices * seconds / 3600


def estimate(
    plan: Plan,
    shape: ModelShape,
    recipe: Recipe,
    fleet: Fleet,
    *,
    price_per_hour: float | None = None,
    utilisation: float | None = None,
) -> StudyCost:
    """Work out what a study takes on a fleet.

    Args:
        plan: What is to be done.
        shape: The model's.
        recipe: The recipe.
        fleet: Where.
        price_per_hour: Of one device.
        utilisation: u, where it was measured; a range stands beside the default.
    """
    n_processes = recipe.training.processes_per_run
    fitting = _fitting_devices(plan.run_memory_bytes, fleet)
    run_devices = max(fitting, n_processes)

    def at(share: float) -> tuple[StageCost, ...]:
        return _stages(plan, shape, recipe, fleet, run_devices, share)

    most, least = (utilisation,) * 2 if utilisation else (MOST_UTILISATION, LEAST_UTILISATION)
    return StudyCost(
        fleet=str(fleet),
        n_devices=fleet.n_devices,
        run_devices=run_devices,
        stages=at(utilisation or UTILISATION),
        seconds_range=(_sum(at(most)), _sum(at(least))),
        price_per_hour=price_per_hour,
        notes=(
            *_memory_notes(plan, fleet, fitting),
            *_process_notes(n_processes, fleet),
            *_wave_notes(plan, fleet, run_devices),
        ),
    )


def training_flops(shape: ModelShape, recipe: Recipe, tokens: int) -> float:
    """FLOPs of training on so many tokens."""
    forward = 2.0 * shape.n_parameters
    backward = forward + 2.0 * shape.n_trainable
    again = forward if recipe.training.gradient_checkpointing else 0.0
    return tokens * (forward + backward + again)


def _fitting_devices(needed_bytes: float, fleet: Fleet) -> int:
    """The fewest devices, a power of two, that hold a run."""
    n_needed = needed_bytes / (_ROOM * fleet.device.memory_bytes)
    return 1 << max(0, math.ceil(math.log2(n_needed)))


def _saved_bytes(shape: ModelShape, recipe: Recipe) -> float:
    """Bytes of a checkpoint: all parameters, or the adapters."""
    return 4.0 * (shape.n_trainable if recipe.training.method == "lora" else shape.n_parameters)


def _stages(
    plan: Plan,
    shape: ModelShape,
    recipe: Recipe,
    fleet: Fleet,
    run_devices: int,
    share: float,
) -> tuple[StageCost, ...]:
    unit_tokens = recipe.row_tokens if plan.unit == "examples" else 1
    saved = _saved_bytes(shape, recipe)
    n_saved = 2 + 3 * recipe.training.snapshots  # checkpoint, second moments; each with all state
    n_on_the_way = recipe.training.trajectory_checkpoints + len(plan.expert_points) - 1

    def trained(name: str, n_runs: int, tokens: int, n_saved: int = n_saved) -> StageCost:
        flops = training_flops(shape, recipe, tokens * unit_tokens)
        rate = _rate(fleet, recipe.training.precision, share) * run_devices
        n_seats = max(1, fleet.n_devices // run_devices)
        n_waves = -(-n_runs // n_seats)
        parts = {
            "arithmetic": n_waves * flops / rate,
            "disk": n_runs * (4.0 * shape.n_parameters + n_saved * saved) / DISK_BANDWIDTH,
            "starting runs": n_waves * RUN_SECONDS,
        }
        return _stage(name, parts, n_runs / (n_waves * n_seats or 1))

    stages = (
        trained("experts", plan.n_experts, plan.expert_tokens, n_saved + n_on_the_way),
        _search(plan, shape, recipe, fleet, share),
        trained("calibration", plan.n_calibration, plan.run_tokens),
        trained("references", plan.n_references, plan.run_tokens),
        trained("final runs", plan.n_final, plan.run_tokens),
    )
    return tuple(stage for stage in stages if stage.seconds > 0)


def _search(plan: Plan, shape: ModelShape, recipe: Recipe, fleet: Fleet, share: float) -> StageCost:
    """All that is scored: candidates, and what else is merged or read."""
    device, n = fleet.device, fleet.n_devices
    per_token = 2.0 * shape.n_parameters * (recipe.row_tokens if plan.unit == "examples" else 1)
    n_merges = (plan.n_candidates + plan.n_besides) * plan.candidate_passes
    n_read = plan.n_experts + plan.n_kept
    n_passes = 1 + n_merges + plan.n_full_runs + n_read * plan.readings
    vector = _STORED_BYTES[recipe.engine.task_vectors] * shape.n_parameters
    if recipe.training.method == "lora":  # adapters are read as they are
        vector = _saved_bytes(shape, recipe)
    held = vector * len(plan.domains)
    needed = held * len(plan.expert_points) + 8.0 * shape.n_parameters
    fits = needed <= _ROOM * device.memory_bytes
    bandwidth = device.memory_bandwidth if fits else device.link_bandwidth
    rate = _rate(fleet, recipe.evaluation.precision, share)
    read = "memory of the devices" if fits else "link to the host"
    parts = {
        "arithmetic": n_passes * per_token * plan.evaluation_tokens / (rate * n),
        read: n_merges * held / (bandwidth * n),
        "disk": 2 * _saved_bytes(shape, recipe) * n_read / DISK_BANDWIDTH,
        "starting workers": START_SECONDS,
    }
    return _stage("scoring", parts, 1.0)


def _stage(name: str, parts: Mapping[str, float], busy: float) -> StageCost:
    bottleneck = max(parts, key=lambda part: parts[part])
    arithmetic = parts["arithmetic"] / (math.fsum(parts.values()) or 1.0)
    return StageCost(name, math.fsum(parts.values()), bottleneck, busy * arithmetic)


def _rate(fleet: Fleet, precision: str, share: float) -> float:
    """FLOP/s that one device reaches; float32 in halves would be as fast, but is not used."""
    device = fleet.device
    return share * (device.float32_flops if precision == "float32" else device.bfloat16_flops)


def _memory_notes(plan: Plan, fleet: Fleet, fitting: int) -> tuple[str, ...]:
    needed, held = plan.run_memory_bytes / 1e9, fleet.device.memory_bytes / 1e9
    if fitting == 1:
        return ()
    too_few = fitting > fleet.n_devices
    return (
        f"a run needs about {needed:,.0f} GB, and one {fleet.device.name} has {held:,.0f} GB: it "
        f"takes {fitting:,} of them, by a trainer that shards parameters, which mixwise's own "
        "does not: train the experts with yours and name them by `expert`, or use "
        "`training.method: lora`"
        + (f"; only {fleet.n_devices:,} are there, so the times hold for more" * too_few),
    )


def _process_notes(n_processes: int, fleet: Fleet) -> tuple[str, ...]:
    if n_processes <= fleet.n_devices:
        return ()
    return (
        f"`training.processes_per_run` is {n_processes:,}, but only {fleet.n_devices:,} device(s) "
        "are there, so the times hold for more: lower it, or name more",
    )


def _wave_notes(plan: Plan, fleet: Fleet, run_devices: int) -> tuple[str, ...]:
    """Experts of which a few wait for a wave of their own, while most devices stand idle."""
    n_seats = max(1, fleet.n_devices // run_devices)
    n_waves, n_last = divmod(plan.n_experts, n_seats)
    if not n_waves or not n_last or n_last > n_seats / 2:
        return ()
    needed = -(-plan.n_experts // n_waves) * run_devices
    return (
        f"{n_last:,} of {plan.n_experts:,} experts train after the others, while the rest of the "
        f"devices wait: {needed:,} devices take {n_waves:,} round(s) in place of {n_waves + 1:,}",
    )


def _sum(stages: tuple[StageCost, ...]) -> float:
    return math.fsum(stage.seconds for stage in stages)

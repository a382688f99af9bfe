"""What diagnosis shows of task vectors, of the proxy's errors, and of units."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING

from rich.table import Table

from mixwise.console.answer import print_fidelity, print_trust
from mixwise.console.text import print_table, print_text

if TYPE_CHECKING:
    from mixwise.diagnostics.findings import Geometry, TrajectoryPoint
    from mixwise.stages.units import UnitsFound
    from mixwise.study.results import (
        Diagnosis,
        InterferenceFacts,
        PrecisionFacts,
    )

_CAUSES = {
    "self_scaling": "self-scaling",
    "cross_domain": "cross-domain",
    "averaged_noise": "averaged noise",
}


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Print task vectors, why the proxy should err, the fidelity measured, and trust."""
    _print_geometry(diagnosis.geometry)
    _print_trajectory(diagnosis.trajectory)
    found, precision = diagnosis.interference, diagnosis.precision
    if found is not None and precision is not None:
        metrics = [name for name in precision.in_objective if name in found.first_order]
        if metrics:
            _print_first_order(found, metrics)
        _print_causes(found)
        _print_precision(precision)
    if diagnosis.left_out:
        print_text(diagnosis.left_out)
    if diagnosis.fidelity is None:
        print_text("Fidelity: not measured yet; `mixwise validate` trains references for it.")
    else:
        print_fidelity(diagnosis.fidelity)
    if diagnosis.trust is not None:
        print_trust(diagnosis.trust)


def _print_geometry(geometry: Geometry) -> None:
    """Print size and angles of the task vectors, whole and by block."""
    table = Table(
        "expert",
        "relative size",
        *geometry.domains,
        title="Task vectors: ‖δ‖ / ‖θ₀‖ and cosines",
        title_justify="left",
    )
    for name, size, cosines in zip(
        geometry.domains, geometry.relative_sizes, geometry.cosines, strict=True
    ):
        table.add_row(name, f"{size:.4f}", *(f"{cosine:.2f}" for cosine in cosines))
    print_table(table)
    blocks = Table(
        "block", "mean size", "mean cosine", title="The same by block", title_justify="left"
    )
    for block in geometry.blocks:
        mean_size = f"{fmean(block.relative_sizes):.4f}"
        blocks.add_row(block.name, mean_size, _mean_between(block.cosines))
    print_table(blocks)


def _mean_between(cosines: Sequence[Sequence[float]]) -> str:
    """Mean cosine of two different experts."""
    between = [c for i, row in enumerate(cosines) for j, c in enumerate(row) if i != j]
    return f"{fmean(between):.2f}" if between else "—"


def _print_trajectory(points: Sequence[TrajectoryPoint]) -> None:
    """Print how the task vectors stood about halfway through the experts' training."""
    if not points:
        return
    halfway = min(points, key=lambda point: abs(fmean(point.progress) - 0.5))
    length, cosine = 100 * fmean(halfway.progress), fmean(halfway.alignment)
    print_text(
        f"After {halfway.step} steps the task vectors had {length:.0f} % of their length, at a "
        f"cosine of {cosine:.2f} with their end."
    )


def _print_first_order(found: InterferenceFacts, metrics: Sequence[str]) -> None:
    """Print what each expert does to some metrics, to first order."""
    title = "First-order effect on the metrics of the objective"
    table = Table("expert", *metrics, title=title, title_justify="left")
    for k, name in enumerate(found.domains):
        table.add_row(name, *(f"{found.first_order[metric][k]:+.4f}" for metric in metrics))
    print_table(table)


def _print_causes(found: InterferenceFacts) -> None:
    """Print why the linear merge of the uniform mixture should err, by the theory."""
    causes = dict(_CAUSES)
    if found.noise is None:
        del causes["averaged_noise"]
    table = Table(
        "metric",
        *causes.values(),
        title="Predicted causes of the linear merge's error at the uniform mixture",
        title_justify="left",
    )
    for name in found.first_order:
        values = [getattr(found.uniform, cause)[name] for cause in causes]
        table.add_row(name, *(f"{value:+.4f}" for value in values))
    print_table(table)
    if found.noise is None:
        print_text("The noise that merging averages away is unknown: it takes two seeds to see it.")


def _print_precision(precision: PrecisionFacts) -> None:
    """Print what the store loses, and the largest error in a metric of the objective."""
    for stored in precision.stored:
        print_text(
            f"Task vector of {stored.domain}: {stored.precision}, "
            f"{stored.n_bytes / 1e6:.1f} MB, loses {stored.relative_error:.2g} of its length."
        )
    shares = {
        name: abs(precision.scores[name].error / precision.scores[name].effect)
        for name in precision.in_objective
        if precision.scores[name].effect
    }
    if shares:
        worst = max(shares, key=lambda name: shares[name])
        print_text(
            "Error that precision makes in the scores of the uniform mixture: at most "
            f"{100 * shares[worst]:.2f} % of its effect ({worst})."
        )


def print_units(found: UnitsFound) -> None:
    """Print the shares of prunable and redundant units, a model each."""
    table = Table(
        "model",
        "units",
        "prunable",
        "least to largest",
        "redundant",
        title="Frivolous units: shares of all units",
        title_justify="left",
    )
    for name, units in found.models:
        prunable = units.prunable
        table.add_row(
            name,
            f"{units.n_units:,}",
            f"{prunable.mean:.3f}",
            f"{prunable.least:.3f} to {prunable.largest:.3f}",
            f"{units.redundant:.3f}",
        )
    print_table(table)
    n_draws = len(found.models[0][1].prunable_draws)
    print_text(
        "Prunable: silenced at random in every layer, 80 % of the predictions stay "
        f"({n_draws} draws). Redundant: smallest components with 5 % of a layer's variance."
    )

"""What the command line shows: progress on stderr, short results on stdout."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from mixwise.plan import Plan
    from mixwise.scorer import Progress as Report

_PATIENCE_SECONDS = 2.0
_BAR = 24


class ProgressBars:
    """Bars with the time left for whatever lasts over two seconds."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars: Progress | None = None
        self._tasks: dict[str, Any] = {}
        self._since: dict[str, float] = {}

    def __call__(self, report: Report) -> None:
        """Show how far a task has come."""
        now = time.monotonic()
        started = self._since.setdefault(report.task, now)
        if report.done >= report.total:
            self._finish(report)
        elif now - started > _PATIENCE_SECONDS:
            self._show(report)

    def close(self) -> None:
        """Take all bars away."""
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
        self._tasks.clear()

    def _show(self, report: Report) -> None:
        if self._bars is None:
            self._bars = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                console=self._console,
                transient=True,
            )
            self._bars.start()
        if report.task not in self._tasks:
            self._tasks[report.task] = self._bars.add_task(report.task, total=report.total)
        self._bars.update(self._tasks[report.task], completed=report.done, total=report.total)

    def _finish(self, report: Report) -> None:
        self._since.pop(report.task, None)
        task = self._tasks.pop(report.task, None)
        if task is not None and self._bars is not None:
            self._bars.remove_task(task)
            if not self._tasks:
                self.close()


@contextmanager
def progress_bars() -> Iterator[ProgressBars]:
    """Bars that are gone when the block ends, however it ends."""
    bars = ProgressBars()
    try:
        yield bars
    finally:
        bars.close()


def print_json(content: Any) -> None:
    """Print a machine-readable result."""
    sys.stdout.write(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def print_text(text: str) -> None:
    """Print a line as it is."""
    _stdout().print(text, highlight=False, markup=False, soft_wrap=True)


def print_lines(content: Mapping[str, str]) -> None:
    """Print names and what they stand for, a line each."""
    for name, value in content.items():
        print_text(f"{name}: {value}")


def print_error(text: str) -> None:
    """Print the lines of an error on stderr."""
    console = Console(stderr=True)
    for line in text.splitlines():
        console.print(f"mixwise: error: {line}", highlight=False, markup=False, soft_wrap=True)


def print_plan(plan: Plan, warnings: tuple[str, ...]) -> None:
    """Print what a recipe will cost."""
    table = Table(
        "domain",
        "documents",
        "train tokens",
        "held out",
        "expert reads",
        "max share",
        "reads at max",
        title="Domains",
        title_justify="left",
    )
    for domain in plan.domains:
        table.add_row(
            domain.name,
            f"{domain.n_documents:,}",
            f"{domain.train_tokens:,}",
            f"{domain.heldout_tokens:,}",
            f"{domain.expert_repetition:.2f}×",
            f"{domain.max_share:.2f}",
            f"{domain.repetition_at_max:.2f}×",
        )
    costs = Table.grid(padding=(0, 2))
    for row in (
        (
            "training runs",
            f"{plan.n_runs}: {plan.n_experts} experts, {plan.n_references} references, "
            f"at most {plan.n_final} final, {plan.n_workers} at once",
        ),
        (
            "tokens per run",
            f"{plan.run_tokens:,} in {plan.run_steps:,} steps; {plan.trained_tokens:,} in all",
        ),
        (
            "merged candidates",
            f"at most {plan.n_candidates}, each evaluated on {plan.evaluation_tokens:,} tokens",
        ),
        ("peak memory", f"{plan.memory_bytes / 1e9:.1f} GB"),
        ("disk", f"{plan.disk_bytes / 1e9:.2f} GB"),
        ("estimated time", _duration(plan.seconds)),
    ):
        costs.add_row(*row)
    console = _stdout()
    console.print(table)
    console.print(costs)
    for warning in warnings:
        print_text(f"warning: {warning}")
    print_text("The recipe is fine.")


def print_recommendation(content: Mapping[str, Any]) -> None:
    """Print the recommended mixture, how sure it is, and what training it showed."""
    print_text("\nRecommended mixture (shares by tokens)")
    for name, share in content["mixture"].items():
        print_text(f"  {name:<16}{share:6.3f}  {'█' * round(share * _BAR)}")
    predicted = content["predicted"]
    low, high = predicted["interval_95"]
    print_text(
        f"\nPredicted objective {predicted['objective']:.3f} (95 % {low:.3f} to {high:.3f}, "
        f"{predicted['interval_from']}); baselines: "
        + ", ".join(f"{row['name']} {row['objective']:.3f}" for row in content["baselines"])
    )
    print_text(f"{len(content['near_optimal'])} scored mixtures cannot be told from the best.")
    if content["fidelity"] is not None:
        print_fidelity(content["fidelity"])
    if content["verdict"] is not None:
        print_verdict(content["verdict"])


def print_fidelity(fidelity: Mapping[str, Any]) -> None:
    """Print one line on how well the proxy ranked the references."""
    rho = fidelity["spearman"]
    if rho["value"] is None:
        print_text("Fidelity: undefined, the references do not differ.")
        return
    line = (
        f"Fidelity of the objective on {fidelity['n_mixtures']} references × "
        f"{fidelity['n_seeds']} seeds: Spearman ρ {rho['value']:.2f} (95 % {rho['low']:.2f} to "
        f"{rho['high']:.2f})"
    )
    if fidelity["seed_spearman"] is not None:
        line += f"; one seed against another {fidelity['seed_spearman']:.2f}"
    if fidelity["ceiling"] is not None:
        line += f"; the noise allows {fidelity['ceiling']:.2f}"
    print_text(line + ".")


def print_verdict(verdict: Mapping[str, Any]) -> None:
    """Print whether the recommendation won in real training."""
    words = {
        "won": "The recommendation WON in real training",
        "tied": "The recommendation could NOT be told from its best baseline in real training",
        "lost": "The recommendation LOST in real training",
        "unknown": "Whether the recommendation won is unknown (no baseline, or only one seed)",
    }
    print_text(
        f"{words[verdict['outcome']]}; margins in noise widths (one width: sd between seeds):"
    )
    for margin in verdict["margins"]:
        widths = margin["noise_widths"]
        shown = "?" if widths is None else f"{widths:+.1f}"
        print_text(f"  against {margin['baseline']:<20} {margin['margin']:+.3f}  {shown} widths")


def print_scores(scores: list[dict[str, Any]]) -> None:
    """Print scored mixtures, one block each."""
    for score in scores:
        print_text(
            f"{_mixture(score['mixture'])}  ({score['answer']}"
            f"{', rule ' + score['rule'] if score['rule'] else ''})"
        )
        print_text(f"  objective {score['objective']:.4f}")
        slopes = score.get("slopes", {})
        for name, value in score["metrics"].items():
            print_text(f"  {name:<36} {value:.6f}{_slopes(score['mixture'], slopes.get(name))}")


def _slopes(mixture: Mapping[str, float], slopes: Sequence[float] | None) -> str:
    """Slopes beside a value: what the metric gains per unit of each share."""
    if slopes is None:
        return ""
    words = [f"{name} {slope:+.4f}" for name, slope in zip(mixture, slopes, strict=True)]
    return f"   per share: {', '.join(words)}"


def print_diagnosis(content: Mapping[str, Any]) -> None:
    """Print size and angles of the task vectors, then the fidelity that was measured."""
    geometry = content["geometry"]
    table = Table(
        "expert",
        "relative size",
        *geometry["domains"],
        title="Task vectors: ‖δ‖ / ‖θ₀‖ and cosines",
        title_justify="left",
    )
    for name, size, cosines in zip(
        geometry["domains"], geometry["relative_sizes"], geometry["cosines"], strict=True
    ):
        table.add_row(name, f"{size:.4f}", *(f"{cosine:.2f}" for cosine in cosines))
    _stdout().print(table)
    _print_precision(content["precision"])
    if content["fidelity"] is None:
        print_text("Fidelity: not measured yet; `mixwise validate` trains references for it.")
    else:
        print_fidelity(content["fidelity"])


def _print_precision(precision: Mapping[str, Any]) -> None:
    """Print what the store loses, and the largest error in a metric of the objective."""
    for stored in precision["stored"]:
        print_text(
            f"Task vector of {stored['domain']}: {stored['precision']}, "
            f"{stored['n_bytes'] / 1e6:.1f} MB, loses {stored['relative_error']:.2g} of its length."
        )
    shares = {
        name: abs(precision["scores"][name]["error"] / precision["scores"][name]["effect"])
        for name in precision["in_objective"]
        if precision["scores"][name]["effect"]
    }
    if shares:
        worst = max(shares, key=lambda name: shares[name])
        print_text(
            "Error that precision makes in the scores of the uniform mixture: at most "
            f"{shares[worst]:.2%} of its effect ({worst})."
        )


def print_units(content: Mapping[str, Any]) -> None:
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
    for row in content["models"]:
        prunable = row["prunable"]
        table.add_row(
            row["model"],
            f"{row['n_units']:,}",
            f"{prunable['mean']:.3f}",
            f"{prunable['least']:.3f} to {prunable['largest']:.3f}",
            f"{row['redundant']:.3f}",
        )
    _stdout().print(table)
    n_draws = len(content["models"][0]["prunable_draws"])
    print_text(
        "Prunable: silenced at random in every layer, 80 % of the predictions stay "
        f"({n_draws} draws). Redundant: smallest components with 5 % of a layer's variance."
    )


def _mixture(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in shares.items() if share)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _stdout() -> Console:
    return Console(width=None if sys.stdout.isatty() else 120)

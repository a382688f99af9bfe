"""What a fit of runs shows: the answer, how far to trust it, and what to train next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from mixwise.console.answer import estimate_words
from mixwise.console.text import print_table, print_text

if TYPE_CHECKING:
    from mixwise.swarm import NextRun, SwarmFit

_BAR = 24
_MOST_SHOWN = 5
_SHARE_SHOWN = 0.0005
_ROUNDED = 1e-3  # sums of shares that are so far from 1 are told
_LEAST_GAIN = 0.001  # of the objective
_FEW = 2  # mixtures a domain, below which a fit knows little


def print_fit(found: SwarmFit) -> None:
    """Print a fit."""
    print_text(f"{found.answer}\n")
    _print_shares(found)
    (low, high), best = found.interval, found.best_run
    outside = "" if best.is_within else ", outside the limits"
    print_text(
        f"Expected objective {found.expected:.2f} (95 % {low:.2f} to {high:.2f} for one run): mean "
        f"of {_metrics(found)}, in standard deviations over the runs. The best mixture of the "
        f"table has {best.objective:.2f} ({best.place}{outside}), of which {best.expected:.2f} is "
        "expected again."
    )
    print_text(
        f"The highest expected objective is ahead of uniform by {found.ahead:.2f} ± "
        f"{found.ahead_deviation:.2f} (standard deviation)"
        + (", less what leaving the prior takes off each." if found.prior else ".")
    )
    if found.rounding is not None:
        print_text(
            f"Shares are in steps of {found.rounding.grid:g}; the best without steps is expected "
            f"to be ahead by {max(found.rounding.lost, 0.0):.3f}."
        )
    if found.prior is not None:
        from mixwise.report.limit_words import prior_words  # the report is slow to load

        print_text(prior_words(found.prior))
    _print_equals(found)
    _print_metrics(found)
    _print_trust(found)
    _print_next(found.next_run)


def _print_shares(found: SwarmFit) -> None:
    width = max(len(name) for name in found.mixture.domains)
    print_text("Shares, and those of mixtures that cannot be told from it")
    for name, share in found.mixture.as_dict().items():
        low, high = found.ranges[name]
        bar = "█" * round(share * _BAR)
        print_text(f"  {name:<{width}}  {share:.3f}  {low:.2f} to {high:.2f}  {bar}".rstrip())
    print_text("")


def _print_equals(found: SwarmFit) -> None:
    n = len(found.equals)
    if not n:
        print_text(
            "Every mixture of the table can be told from the recommended one, or is outside the "
            "limits."
        )
        return
    places = ", ".join(run.place for run in found.equals[:_MOST_SHOWN])
    more = f" and {n - _MOST_SHOWN} more" if n > _MOST_SHOWN else ""
    print_text(f"Mixtures of the table that cannot be told from it: {places}{more}.")


def _print_metrics(found: SwarmFit) -> None:
    table = Table(box=None, pad_edge=False)
    for head in ("metric", "better", "expected (95 %)", "best run has", "ρ held out", "error"):
        table.add_column(head)
    for name, metric in found.metrics.items():
        low, high = metric.interval
        rho = metric.fidelity.spearman.value
        table.add_row(
            name,
            "less" if metric.direction == "min" else "more",
            f"{metric.expected:.4g} ({low:.4g} to {high:.4g})",
            f"{metric.best_run:.4g}",
            "undefined" if rho is None else f"{rho:.2f}",
            f"{metric.error:.2f}",
        )
    print_text("")
    print_table(table)


def _print_trust(found: SwarmFit) -> None:
    """Print what held-out runs say, and what speaks against the answer."""
    ceiling = found.fidelity.ceiling
    allowed = "" if ceiling is None else f"; the noise between seeds allows {ceiling:.2f}"
    print_text(
        f"\n{found.n_runs} runs of {found.n_mixtures} mixtures. Each predicted from the others "
        f"(five folds): ρ {estimate_words(found.fidelity.spearman)}{allowed}; error "
        f"{found.error:.2f} of the spread (root mean square)."
    )
    if found.widened > 1:
        print_text(
            f"Intervals are {found.widened:.2f} times as wide as the surrogates', which were too "
            "sure of held-out runs."
        )
    if found.beyond:
        shown = ", ".join(f"{name} (at most {most:.2f})" for name, most in found.beyond.items())
        print_text(f"Warning: no run has had as much of: {shown}. Train a mixture like it first.")
    n_domains = len(found.mixture.domains)
    if found.n_mixtures < _FEW * n_domains:
        print_text(f"Warning: {found.n_mixtures} mixtures are few for {n_domains} domains.")
    if found.fixed:
        shown = ", ".join(f"{name} {share:.3f}" for name, share in found.fixed.items())
        print_text(f"All runs have the same share of: {shown}. It is kept, as nothing was tried.")
    if found.n_alone:
        print_text(f"Left out: {found.n_alone} rows that no row of the other files belongs to.")
    smallest, largest = found.sums
    if max(1 - smallest, largest - 1) > _ROUNDED:
        print_text(
            f"Shares added up to {smallest:.3f} to {largest:.3f}: each run's were divided by that."
        )


def _print_next(asked: NextRun) -> None:
    if asked.gain < _LEAST_GAIN:
        print_text(f"Train next: nothing; no run is expected to save {_LEAST_GAIN} of regret.")
        return
    shares = asked.mixture.as_dict().items()
    mixture = ", ".join(f"{name} {share:.3f}" for name, share in shares if share > _SHARE_SHOWN)
    print_text(f"Train next: {mixture} (saves {asked.gain:.3f} of expected regret).")


def _metrics(found: SwarmFit) -> str:
    names = list(found.metrics)
    return f"`{names[0]}`" if len(names) == 1 else f"{len(names)} metrics"

"""The page of a fit: what to train on by runs that exist, how sure that is, and what to train next.

Its parts, template and style are those of a study's page.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from mixwise.decision.score import OBJECTIVE
from mixwise.errors import ResourceError
from mixwise.files import replace_file
from mixwise.report.charts import chart
from mixwise.report.document import page_around
from mixwise.report.figures import mixture_figure, profile_figure
from mixwise.report.limit_words import prior_words
from mixwise.report.markup import Html, join, prose, tag
from mixwise.report.numbers import NOTHING, brief, count, estimate, number, share, signed
from mixwise.report.tables import mixture_bar, table
from mixwise.study.results import Profiles

if TYPE_CHECKING:
    from mixwise.swarm import SwarmFit

_MOST_EQUALS = 100
_LEAST_GAIN = 0.001  # of the objective


def save_fit_page(found: SwarmFit, path: Path) -> None:
    """Write the page, at once or not at all.

    Args:
        found: The fit.
        path: The file.

    Raises:
        ResourceError: If it cannot be written.
    """
    try:
        replace_file(path, render_fit_page(found).encode("utf-8", errors="replace"))
    except ResourceError as error:
        raise ResourceError(f"{error}, or name another file with `--report`") from None


def render_fit_page(found: SwarmFit) -> str:
    """The text of the page."""
    header = tag(
        "header",
        tag("h1", found.answer),
        tag("p", _runs(found), class_="soft"),
        *(tag("p", prose(line)) for line in _headline(found)),
    )
    sections = {
        "Shares, beside the best run of the table": _shares(found),
        "What to train next": _next(found),
        "Mixtures of the table that cannot be told from it": _equals(found),
        "Metrics": _metrics(found),
        "The objective as each share changes": _profiles(found),
    }
    main = tag("main", *(tag("section", tag("h2", t), s) for t, s in sections.items()))
    footer = tag("footer", "Written by mixwise from a table of runs.")
    return page_around(join([header, main, footer]), "mixwise fit")


def _runs(found: SwarmFit) -> str:
    return (
        f"{count(found.n_runs)} runs of {count(found.n_mixtures)} mixtures of "
        f"{len(found.mixture.domains)} domains"
    )


def _headline(found: SwarmFit) -> list[str]:
    low, high = found.interval
    lines = [
        f"Expected objective {signed(found.expected)} (95 % {signed(low)} to {signed(high)} for "
        f"one run): the mean of {len(found.metrics)} metric(s), in standard deviations over the "
        "runs. The highest that is expected anywhere is ahead of the uniform mixture's by "
        f"{number(found.ahead)} ± {number(found.ahead_deviation)}"
        + (", less what leaving the prior takes off each." if found.prior else "."),
        f"Runs that the fit did not see were ranked at ρ {estimate(found.fidelity.spearman)}, with "
        f"an error of {number(found.error)} of their spread.",
    ]
    if found.prior is not None:
        lines.append(prior_words(found.prior))
    if found.fixed:
        shown = ", ".join(f"`{name}` {share(value)}" for name, value in found.fixed.items())
        lines.append(f"All runs have the same share of {shown}, so it is kept.")
    if found.beyond:
        shown = ", ".join(f"`{n}` (at most {share(most)})" for n, most in found.beyond.items())
        lines.append(f"No run has had as much of {shown}: train a mixture like it first.")
    return lines


def _shares(found: SwarmFit) -> Html:
    best = found.best_run.mixture.as_dict()
    run = "best run" if found.best_run.is_within else "best run, outside the limits"
    rows = [
        [name, share(value), f"{share(found.ranges[name][0])} to {share(found.ranges[name][1])}"]
        for name, value in found.mixture.as_dict().items()
    ]
    head = ["Domain", "Recommended", "Cannot be told from it"]
    return join(
        [
            chart(
                "shares",
                "Recommended shares",
                mixture_figure(found.mixture.as_dict(), {run: best}),
            ),
            table("Recommended shares", head, rows),
        ]
    )


def _next(found: SwarmFit) -> Html:
    asked = found.next_run
    if asked.gain < _LEAST_GAIN:
        return tag("p", f"Nothing: no run is expected to save {_LEAST_GAIN} of regret.")
    saves = f" It is expected to save {asked.gain:.3f} of regret."
    return tag("p", tag("b", brief(asked.mixture.as_dict())), ".", saves)


def _equals(found: SwarmFit) -> Html:
    if not found.equals:
        return tag(
            "p",
            "Every mixture of the table can be told from the recommended one, or is outside the "
            "limits.",
        )
    rows = [
        [
            run.place,
            mixture_bar(run.mixture.as_dict(), found.mixture.domains),
            signed(run.objective),
            signed(run.expected),
            tag("span", brief(run.mixture.as_dict()), class_="words"),
        ]
        for run in found.equals[:_MOST_EQUALS]
    ]
    head = ["First run", "Shares", "Objective", "Expected again", "Mixture"]
    left_out = len(found.equals) - len(rows)
    more = [tag("p", f"{left_out} more.", class_="caption")] if left_out > 0 else []
    return join([table("Set of equals", head, rows), *more])


def _metrics(found: SwarmFit) -> Html:
    rows = []
    for name, metric in found.metrics.items():
        rho = metric.fidelity.spearman.value
        low, high = metric.interval
        rows.append(
            [
                name,
                "less is better" if metric.direction == "min" else "more is better",
                number(metric.expected),
                tag("span", f"{number(low)} to {number(high)}", class_="figure"),
                number(metric.best_run),
                NOTHING if rho is None else number(rho),
                number(metric.error),
            ]
        )
    head = ["Metric", "", "Expected", "95 %", "Best run has", "ρ held out", "Error ÷ spread"]
    return table("Metrics", head, rows)


def _profiles(found: SwarmFit) -> Html:
    lines = {name: {OBJECTIVE: line} for name, line in found.lines.items()}
    figure = profile_figure(
        Profiles(found.line_shares, lines), OBJECTIVE, "", found.mixture.as_dict()
    )
    caption = (
        "Expected objective where the share of one domain goes from 0 to 1 and the others keep "
        "their proportions; far from the runs it is a guess."
    )
    return join(
        [tag("p", caption, class_="caption"), chart("profiles", "Expected objective", figure)]
    )

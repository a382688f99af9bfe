"""The command on runs that exist already: fit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from mixwise import console
from mixwise.cli.opened import show_result
from mixwise.cli.options import Json


def fit(
    runs: Annotated[
        list[Path],
        typer.Argument(
            help="Tables of runs (CSV, JSON lines, Parquet, …): shares of the domains and scores; "
            "several files are joined by the columns that they share.",
            metavar="RUNS…",
        ),
    ],
    domains: Annotated[
        str,
        typer.Option(
            help="Columns of the shares, separated by commas; by default those that add up to 1."
        ),
    ] = "",
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="NAME, NAME:min or NAME:max: a score of the objective; repeat. By default all."
        ),
    ] = None,
    by: Annotated[
        list[str] | None,
        typer.Option(help="Column that tells runs of several files apart; repeat."),
    ] = None,
    min_share: Annotated[
        list[str] | None, typer.Option(help="NAME=SHARE: no less of a domain; repeat.")
    ] = None,
    max_share: Annotated[
        list[str] | None, typer.Option(help="NAME=SHARE: no more of a domain; repeat.")
    ] = None,
    limits: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of bounds, groups, limits, cost, grid and prior, as in a recipe's "
            "`search`."
        ),
    ] = None,
    prefer: Annotated[
        Literal["uniform", "none"],
        typer.Option(help="Which mixture is taken where several are as good."),
    ] = "uniform",
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds and draws.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Write a page of it, one file that opens offline.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recommend a mixture by runs that exist already, whoever trained them, and say how sure it is.

    No model is needed. What to train next comes with the answer.
    """
    from mixwise.swarm import fit_swarm, parse_asked, parse_prior, parse_space, read_swarm

    table = read_swarm(runs, parse_asked(domains, metric or (), by or ()))
    space = parse_space(
        table.domains, min_share or (), max_share or (), limits=limits, fixed=table.fixed
    )
    prior = parse_prior(table.domains, limits)
    with console.progress("fitting") as shown:
        found = fit_swarm(table, space, prior=prior, prefer=prefer, seed=seed, on_progress=shown)
    if report is not None:
        from mixwise.report.fit_page import save_fit_page

        save_fit_page(found, report)
    show_result(found, as_json, lambda: console.print_fit(found))
    if report is not None and not as_json:
        console.print_text(f"Report: {report}")

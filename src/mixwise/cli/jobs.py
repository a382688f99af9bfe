"""Commands that start from a recipe: init, check, run, demo."""

from __future__ import annotations

import warnings
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import typer

from mixwise import console
from mixwise.cli.opened import show_result
from mixwise.cli.options import Json, RecipeFile, Reused, Trust, Verified
from mixwise.errors import MixwiseWarning


def init(
    folder: Annotated[
        Path, typer.Argument(help="Folder of the data, for the recipe.", metavar="DIR")
    ] = Path(),
    config: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="CONFIG",
            help="Take the datasets of a configuration of TRL, Axolotl, LLaMA-Factory or ms-swift.",
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write a commented recipe.yaml, with the data files of the folder as its domains."""
    from mixwise.stages.init import write_recipe

    path = write_recipe(folder, config)
    text = f"Wrote {path}. Edit it, then: mixwise check {path}"
    show_result({"recipe": str(path)}, as_json, lambda: console.print_text(text))


def check(
    recipe: RecipeFile,
    study: Annotated[Path, typer.Option(help="Where the study will be written.")] = Path("study"),
    show: Annotated[
        int,
        typer.Option(
            min=0, max=1000, metavar="N", help="Print the first N rows of each domain and text set."
        ),
    ] = 0,
    create: Annotated[
        bool, typer.Option("--create", help="Make the study too, for its stages one by one.")
    ] = False,
    reuse: Reused = None,
    on: Annotated[
        str | None,
        typer.Option(
            metavar="N×DEVICE", help="Estimate time and money on other devices, such as 64xH100."
        ),
    ] = None,
    price_per_hour: Annotated[
        float | None, typer.Option(min=0, metavar="MONEY", help="Price of one device of --on.")
    ] = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
    verified: Verified = False,
) -> None:
    """Find out everything that can be known before training."""
    from dataclasses import asdict

    if create and on is not None:
        raise typer.BadParameter("--create makes a study here, --on asks of elsewhere")

    from mixwise.api import Study, check_recipe
    from mixwise.study.devices import require_price

    require_price(price_per_hour, on)

    with console.progress("check") as shown:
        options: dict[str, Any] = {
            "reuse": reuse,
            "trust_remote_code": trust_remote_code,
            "on_progress": shown,
        }
        if create:
            with Study.create(study, recipe, verify=verified, **options) as made:
                checked = made.check(show=show)
        else:
            checked = check_recipe(
                recipe,
                study,
                verify=verified,
                show=show,
                on=on,
                price_per_hour=price_per_hour,
                **options,
            )
    if as_json:
        console.print_json(asdict(checked))
    else:
        console.print_review(checked.review)
        console.print_plan(checked.plan, checked.warnings, (*checked.reused, *checked.notes))
        if checked.cost is not None:
            console.print_cost(checked.cost)
        if create:
            console.print_text(f"The study is made: {study}")


def run(
    recipe: RecipeFile,
    study: Annotated[Path, typer.Option(help="Folder of the study; made when missing.")] = Path(
        "study"
    ),
    reuse: Reused = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
    verified: Verified = False,
) -> None:
    """Do the main job: experts, search, recommendation, one final run, report."""
    _run_main_job(
        recipe,
        study,
        verify=verified,
        reuse=reuse,
        as_json=as_json,
        trust_remote_code=trust_remote_code,
    )


def demo(
    study: Annotated[Path, typer.Option(help="Folder of the study; made when missing.")] = Path(
        "demo-study"
    ),
    as_json: Json = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="The answer alone: no run that only verifies it.")
    ] = False,
) -> None:
    """Run the main job on the data and the base model that ship with mixwise, and verify it."""
    with resources.as_file(resources.files("mixwise") / "demo" / "recipe.yaml") as recipe:
        _run_main_job(
            recipe, study, verify=not quick, reuse=None, as_json=as_json, trust_remote_code=False
        )


def _run_main_job(
    recipe: Path,
    folder: Path,
    *,
    verify: bool,
    reuse: Path | None,
    as_json: bool,
    trust_remote_code: bool,
) -> None:
    from mixwise.api import Study

    with console.progress("check") as shown:
        study = Study.create(
            folder,
            recipe,
            verify=verify,
            reuse=reuse,
            trust_remote_code=trust_remote_code,
            on_progress=shown,
            on_stage=shown.stage,
        )
        with study:
            checked = study.check()
            for text in checked.reused:
                console.print_note(text)
            for text in checked.warnings:
                warnings.warn(text, MixwiseWarning, stacklevel=1)
            shown.lines.plan(checked.plan.seconds, console.summarise_plan(checked.plan))
            found = study.run()
            final = study.final
    show_result(found, as_json, lambda: console.print_recommendation(found))
    if not as_json:
        if final is not None:
            console.print_final(final, found.objective)
        console.print_text(f"\nStudy:  {folder}\nReport: {folder / 'report.html'}")

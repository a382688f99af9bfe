"""Commands of a study's single stages: experts, search, validate, train, score, diagnose, units."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mixwise import console
from mixwise.cli.opened import on_study, read_study, show_result
from mixwise.cli.options import Json, StudyPath, Trust

if TYPE_CHECKING:
    from mixwise.api import Study
    from mixwise.stages.score import ScoredMixture
    from mixwise.stages.units import UnitsFound

_UNKNOWN_SCORES = "; the scores are not all known yet, and to measure them takes the study alone"


def experts(
    study: StudyPath,
    only: Annotated[
        str | None,
        typer.Option(
            metavar="DOMAINS",
            help="Those of some domains alone, such as math,code; other processes may train others "
            "at the same time.",
        ),
    ] = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Train the experts that are missing."""
    if only is None:
        trained = on_study(
            study, "experts", lambda opened: opened.train_experts(), trust_remote_code
        )
    else:
        trained = _train_some(study, only, trust_remote_code)
    shown = {name: str(folder) for name, folder in trained.items()}
    show_result(shown, as_json, lambda: console.print_lines(shown))


def _train_some(folder: Path, domains: str, trust_remote_code: bool) -> dict[str, Path]:
    """Train some experts of a study, which other processes may do as well."""
    from mixwise.api.study import train_some_experts

    names = [name.strip() for name in domains.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("--only takes names of domains, such as math,code")
    with console.progress("experts") as shown:
        return train_some_experts(
            folder,
            names,
            trust_remote_code=trust_remote_code,
            on_progress=shown,
            on_stage=shown.stage,
        )


def search(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Score merged candidates and recommend a mixture."""
    found = on_study(study, "search", lambda opened: opened.search(), trust_remote_code)
    show_result(found, as_json, lambda: console.print_recommendation(found))
    if not as_json and found.outcome is not None and found.outcome.margins:
        console.print_outcome(found.outcome)  # of an earlier training of the same mixture


def validate(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train reference mixtures and compare the proxy with them."""
    found = on_study(study, "validate", lambda opened: opened.validate(), trust_remote_code)
    show_result(found, as_json, lambda: console.print_fidelity(found.fidelity["objective"]))


def train(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train the recommended mixture and its baselines for real."""
    final, found = on_study(
        study, "train", lambda opened: (opened.train(), opened.recommendation), trust_remote_code
    )
    show_result(final, as_json, lambda: console.print_final(final, found.objective))


def score(
    study: StudyPath,
    mixture: Annotated[
        list[str],
        typer.Option(
            metavar="SHARES",
            help="math=0.7,code=0.3, by the recipe's `shares_by`; may be repeated.",
        ),
    ],
    answer: Annotated[
        Literal["proxy", "reference"], typer.Option(help="Merge the experts, or train for real.")
    ] = "proxy",
    rule: Annotated[
        str | None, typer.Option(help="Merge rule of the proxy; the recipe's when left out.")
    ] = None,
    derivatives: Annotated[
        Literal["none", "slopes", "hessian"],
        typer.Option(help="How metrics move with each share, by the proxy."),
    ] = "none",
    per_example: Annotated[
        bool, typer.Option("--per-example", help="The derivatives of each example too.")
    ] = False,
    train: Annotated[
        bool,
        typer.Option("--train", help="Train what the rule needs besides the experts, if missing."),
    ] = False,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Score mixtures by merging, or by training on them."""

    def stage(opened: Study) -> list[ScoredMixture] | None:
        from mixwise.stages.score import REQUESTS, known_scores, score_mixtures

        workspace = opened.workspace
        request = replace(REQUESTS[derivatives], per_example=per_example)
        if workspace.is_read_only:
            return known_scores(workspace, mixture, answer, request)
        return score_mixtures(
            workspace, mixture, answer, request, may_train=train, on_note=console.print_note
        )

    known = read_study(study, stage, trust_remote_code, rule=rule)
    scores = known or on_study(
        study, "score", stage, trust_remote_code, rule=rule, why=_UNKNOWN_SCORES
    )
    show_result(scores, as_json, lambda: console.print_scores(scores))


def diagnose(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Show size and angles of the experts' task vectors, and the fidelity that was measured."""
    found = on_study(study, "diagnose", lambda opened: opened.diagnose(), trust_remote_code)
    show_result(found, as_json, lambda: console.print_diagnosis(found))


def units(
    study: Annotated[
        Path | None, typer.Argument(help="Folder of the study.", metavar="STUDY")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="base, expert:NAME, merge:MIXTURE or reference:MIXTURE; may be repeated. "
            "Default: base, all experts and the recommendation's merge."
        ),
    ] = None,
    classifier: Annotated[
        Path | None, typer.Option(help="Instead of a study: folder of an image classifier.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The classifier's test images, a .npy file (n, c, h, w).")
    ] = None,
    layers: Annotated[
        str | None,
        typer.Option(help="Names of the modules that read the units, such as '*.down_proj'."),
    ] = None,
    draws: Annotated[int, typer.Option(help="Random orders in which units are silenced.")] = 3,
    sequences: Annotated[
        int | None,
        typer.Option(help="Held-out rows of each set. Default: 16 sequences, or 256 examples."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the draws.")] = 0,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Measure which units of a model can be silenced, and which repeat the others."""
    from mixwise.stages.classifier import measure_classifier_units
    from mixwise.stages.units import UnitSettings, measure_study_units

    settings = UnitSettings(n_draws=draws, seed=seed, n_sequences=sequences, pattern=layers)

    def stage(opened: Study) -> UnitsFound:
        return measure_study_units(opened.workspace, model or (), settings)

    if study and not (classifier or images):
        content = on_study(study, "units", stage, trust_remote_code)
    elif (model or sequences) and not study:
        raise typer.BadParameter("--model and --sequences choose among what a STUDY holds: give it")
    elif classifier and images and not study:
        content = measure_classifier_units(classifier, images, settings)
    else:
        raise typer.BadParameter("give either STUDY, or --classifier together with --images")
    show_result(content, as_json, lambda: console.print_units(content))

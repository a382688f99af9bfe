"""The command line: parse, call a stage, print. No logic lives here, and no torch at import."""

from __future__ import annotations

from mixwise.interrupts import end_at_once_when_asked

if __name__ == "__main__":
    end_at_once_when_asked()  # Ctrl-C may come while the imports below are being loaded

import os
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mixwise import __version__, console
from mixwise.errors import MixwiseWarning, ResourceError, StudyError

if TYPE_CHECKING:
    from mixwise.console import Display
    from mixwise.recipe import Recipe
    from mixwise.study.folder import Study
    from mixwise.study.session import Workspace

_UNKNOWN_SCORES = "; the scores are not all known yet, and to measure them takes the study alone"

app = typer.Typer(
    help="Which mixture of my datasets should I train on? Answered by merging experts, verified by "
    "training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]
StudyFolder = Annotated[Path, typer.Argument(help="Folder of the study.", metavar="STUDY")]
RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let code from the base model's folder run.")
]


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        console.print_text(f"mixwise {__version__}")
        raise typer.Exit


@app.command()
def init(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path(), as_json: Json = False
) -> None:
    """Write a commented recipe.yaml, with the data files of the folder as its domains."""
    from mixwise.stages.init import write_recipe

    path = write_recipe(folder)
    text = f"Wrote {path}. Edit it, then: mixwise check {path}"
    _show({"recipe": str(path)}, as_json, lambda: console.print_text(text))


@app.command()
def check(
    recipe: RecipeFile,
    study: Annotated[Path, typer.Option(help="Where the study will be written.")] = Path("study"),
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Find out everything that can be known before training."""
    from dataclasses import asdict

    from mixwise.recipe import load_recipe

    loaded = load_recipe(recipe)
    from mixwise.stages.check import run_check
    from mixwise.study.inputs import Inputs, Settings

    with console.progress("check") as shown:
        settings = Settings(recipe.parent.resolve(), cache_folder(), trust_remote_code)
        checked = run_check(Inputs(loaded, settings, on_progress=shown), study)
    if as_json:
        plan, warnings, notes = asdict(checked.plan), checked.warnings, checked.notes
        console.print_json({"plan": plan, "warnings": warnings, "notes": notes})
    else:
        console.print_plan(checked.plan, checked.warnings, checked.notes)


@app.command()
def run(
    recipe: RecipeFile,
    study: Annotated[Path, typer.Option(help="Folder of the study; made when missing.")] = Path(
        "study"
    ),
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Do the main job: experts, search, recommendation, validation, final training, report."""
    _run_main_job(recipe, study, as_json=as_json, trust_remote_code=trust_remote_code)


@app.command()
def demo(
    study: Annotated[Path, typer.Option(help="Folder of the study; made when missing.")] = Path(
        "demo-study"
    ),
    as_json: Json = False,
) -> None:
    """Run the main job on the data and the base model that ship with mixwise."""
    with resources.as_file(resources.files("mixwise") / "demo" / "recipe.yaml") as recipe:
        _run_main_job(recipe, study, as_json=as_json, trust_remote_code=False)


@app.command()
def experts(study: StudyFolder, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train the experts that are missing."""

    def stage(workspace: Workspace) -> dict[str, str]:
        workspace.train_experts()
        return {name: str(workspace.expert(name).folder) for name in workspace.recipe.domains}

    trained = _on_study(study, "experts", stage, trust_remote_code=trust_remote_code)
    _show(trained, as_json, lambda: console.print_lines(trained))


@app.command()
def search(study: StudyFolder, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Score merged candidates and recommend a mixture."""

    def stage(workspace: Workspace) -> dict[str, Any]:
        from mixwise.stages.calibrate import run_calibration
        from mixwise.stages.recommend import save_recommendation
        from mixwise.stages.search import run_search

        return save_recommendation(workspace, run_calibration(workspace, run_search(workspace)))

    found = _on_study(study, "search", stage, trust_remote_code=trust_remote_code)
    _show(found, as_json, lambda: console.print_recommendation(found))


@app.command()
def validate(study: StudyFolder, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train reference mixtures and compare the proxy with them."""

    def stage(workspace: Workspace) -> dict[str, Any]:
        from mixwise.stages.calibrate import run_calibration
        from mixwise.stages.recommend import save_recommendation
        from mixwise.stages.search import run_search
        from mixwise.stages.validate import run_validation

        content = run_validation(workspace)
        save_recommendation(workspace, run_calibration(workspace, run_search(workspace)))
        return content

    content = _on_study(study, "validate", stage, trust_remote_code=trust_remote_code)
    _show(content, as_json, lambda: console.print_fidelity(content["fidelity"]["objective"]))


@app.command()
def train(study: StudyFolder, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train the recommended mixture and its baselines for real."""

    def stage(workspace: Workspace) -> dict[str, Any]:
        from mixwise.search.problem import mixture_of
        from mixwise.stages.calibrate import run_calibration
        from mixwise.stages.final import run_final
        from mixwise.stages.recommend import save_recommendation
        from mixwise.stages.search import run_search

        calibrated = run_calibration(workspace, run_search(workspace))
        content = run_final(workspace, mixture_of(calibrated.result.best))
        save_recommendation(workspace, calibrated)
        return content

    content = _on_study(study, "train", stage, trust_remote_code=trust_remote_code)
    _show(content, as_json, lambda: console.print_verdict(content["verdict"]))


@app.command()
def score(
    study: StudyFolder,
    mixture: Annotated[
        list[str],
        typer.Option(help="Shares by tokens, such as math=0.7,code=0.3; may be repeated."),
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

    def stage(workspace: Workspace) -> list[dict[str, Any]] | None:
        from mixwise.stages.score import REQUESTS, known_scores, score_mixtures

        request = replace(REQUESTS[derivatives], per_example=per_example)
        if workspace.is_read_only:
            return known_scores(workspace, mixture, answer, request)
        return score_mixtures(
            workspace, mixture, answer, request, may_train=train, on_note=console.print_note
        )

    known = _read_study(study, stage, rule=rule, trust_remote_code=trust_remote_code)
    scores = known or _on_study(
        study, "score", stage, rule=rule, trust_remote_code=trust_remote_code, why=_UNKNOWN_SCORES
    )
    _show(scores, as_json, lambda: console.print_scores(scores))


@app.command()
def diagnose(study: StudyFolder, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Show size and angles of the experts' task vectors, and the fidelity that was measured."""

    def stage(workspace: Workspace) -> dict[str, Any]:
        from mixwise.stages.diagnose import run_diagnosis

        return run_diagnosis(workspace)

    content = _on_study(study, "diagnose", stage, trust_remote_code=trust_remote_code)
    _show(content, as_json, lambda: console.print_diagnosis(content))


@app.command()
def units(
    study: Annotated[
        Path | None, typer.Argument(help="Folder of the study.", metavar="[STUDY]")
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
    sequences: Annotated[int, typer.Option(help="Held-out sequences of each text set.")] = 16,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Measure which units of a model can be silenced, and which repeat the others."""
    from mixwise.stages.classifier import measure_classifier_units
    from mixwise.stages.units import UnitSettings, measure_study_units

    settings = UnitSettings(n_draws=draws, seed=seed, n_sequences=sequences, pattern=layers)

    def stage(workspace: Workspace) -> dict[str, Any]:
        return measure_study_units(workspace, model or (), settings)

    if study and not (classifier or images):
        content = _on_study(study, "units", stage, trust_remote_code=trust_remote_code)
    elif classifier and images and not study:
        content = measure_classifier_units(classifier, images, settings)
    else:
        raise typer.BadParameter("give either STUDY, or --classifier together with --images")
    _show(content, as_json, lambda: console.print_units(content))


@app.command()
def report(
    study: StudyFolder,
    output: Annotated[
        Path | None, typer.Option(help="File to write; by default report.html in the study.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Write report.html anew from what the study holds, even while it is being worked on."""
    from mixwise.report.page import save_report
    from mixwise.study.folder import Study

    path = save_report(Study.open(study).folder, output)
    _show({"report": str(path)}, as_json, lambda: console.print_text(f"Report: {path}"))


@app.command()
def verify(study: StudyFolder, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Read everything that the results rest on, and compare its hashes; exit 1 if one is wrong."""
    from dataclasses import asdict

    from mixwise.stages.verify import verify_study
    from mixwise.study.folder import Study
    from mixwise.study.inputs import Settings

    opened = Study.open(study)
    settings = Settings(opened.recipe_folder, cache_folder(), trust_remote_code)
    findings = verify_study(opened, settings)
    rows = [asdict(finding) for finding in findings]
    _show({"findings": rows}, as_json, lambda: console.print_findings(rows))
    if any(finding.state in ("wrong", "missing") for finding in findings):
        raise typer.Exit(1)


@app.command()
def status(study: StudyFolder, as_json: Json = False) -> None:
    """Show how far a study is, and which process works in it."""
    from mixwise.stages.status import read_status
    from mixwise.study.folder import Study

    content = read_status(Study.open(study))
    _show(content, as_json, lambda: console.print_status(content))


@app.command()
def export(
    study: StudyFolder,
    to: Annotated[
        Literal["shares", "stream"],
        typer.Option("--format", help="Token counts as JSON, or the exact token stream as JSONL."),
    ] = "shares",
    output: Annotated[Path | None, typer.Option(help="File to write.")] = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Hand the recommended mixture to a trainer."""

    def stage(workspace: Workspace) -> dict[str, Any]:
        from mixwise.export.shares import export_stream

        return export_stream(workspace, output)

    if to == "shares":
        from mixwise.export.shares import export_shares
        from mixwise.study.folder import Study

        content = export_shares(Study.open(study), output)
    else:
        content = _read_study(study, stage, trust_remote_code=trust_remote_code)
    _show(content, as_json, lambda: console.print_text(f"Wrote {content['file']}"))


def cache_folder() -> Path:
    """Folder of the token cache: ``$MIXWISE_CACHE``, or mixwise's place in the user's cache."""
    own = os.environ.get("MIXWISE_CACHE")
    shared = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return (Path(own) if own else shared / "mixwise") / "tokens"


def _run_main_job(recipe: Path, folder: Path, *, as_json: bool, trust_remote_code: bool) -> None:
    from mixwise.recipe import load_recipe
    from mixwise.study.folder import Study

    loaded = load_recipe(recipe)
    study = Study.create(folder, recipe)

    def stage(workspace: Workspace, shown: Display) -> dict[str, Any]:
        from mixwise.stages.check import run_check
        from mixwise.stages.run import run_study

        checked = run_check(workspace.inputs, folder)
        workspace.require_own_experts()
        study.save_recipe(recipe.read_text(encoding="utf-8"))
        for text in checked.warnings:
            warnings.warn(text, MixwiseWarning, stacklevel=1)
        shown.lines.plan(checked.plan.seconds, console.summarise_plan(checked.plan))
        return run_study(workspace, shown.stage)

    with _at_work(study, "check", recipe=loaded, trust_remote_code=trust_remote_code) as at_work:
        content = stage(*at_work)
    _show(content, as_json, lambda: console.print_recommendation(content))
    if not as_json:
        console.print_text(f"\nStudy:  {folder}\nReport: {folder / 'report.html'}")


def _on_study(
    folder: Path,
    name: str,
    stage: Callable[[Workspace], Any],
    *,
    rule: str | None = None,
    trust_remote_code: bool = False,
    why: str = "",
) -> Any:
    """Run a stage on a study that exists, and that nobody else works on."""
    from mixwise.study.folder import Study

    study = Study.open(folder)
    study.require_recipe_folder()
    with _at_work(study, name, rule=rule, trust_remote_code=trust_remote_code, why=why) as (
        workspace,
        shown,
    ):
        shown.begin(name)
        return stage(workspace)


def _read_study(
    folder: Path,
    stage: Callable[[Workspace], Any],
    *,
    rule: str | None = None,
    trust_remote_code: bool = False,
) -> Any:
    """Run a stage that measures and writes nothing, whoever else works on the study."""
    from mixwise.study.folder import Study

    study = Study.open(folder)
    study.require_recipe_folder()
    with console.progress("reading") as shown:
        from mixwise.study.inputs import Settings
        from mixwise.study.session import Workspace

        settings = Settings(study.recipe_folder, cache_folder(), trust_remote_code)
        workspace = Workspace(study, settings, shown, rule, read_only=True)
        try:
            return stage(workspace)
        finally:
            workspace.close()


@contextmanager
def _at_work(
    study: Study,
    name: str,
    *,
    rule: str | None = None,
    recipe: Recipe | None = None,
    trust_remote_code: bool = False,
    why: str = "",
) -> Iterator[tuple[Workspace, Display]]:
    """A workspace on a study that nobody else works on, and what shows its progress."""
    with ExitStack() as held:
        try:
            held.enter_context(study.lock())
        except (StudyError, ResourceError) as error:
            raise type(error)(f"{error}{why}") from None
        held.enter_context(console.keeping_warnings(study))
        shown = held.enter_context(console.progress(name))
        from mixwise.study.inputs import Settings
        from mixwise.study.leftovers import remove_leftovers
        from mixwise.study.session import Workspace

        remove_leftovers(study)
        settings = Settings(study.recipe_folder, cache_folder(), trust_remote_code)
        workspace = Workspace(study, settings, shown, rule, recipe)
        held.callback(workspace.close)
        yield workspace, shown


def _show(content: Any, as_json: bool, print_it: Callable[[], object]) -> None:
    if as_json:
        console.print_json(content)
    else:
        print_it()


def main() -> None:
    """Run the command line: 0 done, 1 an error, 2 usage, 130, 143 or 129 stopped by a signal."""
    sys.exit(console.run_to_exit_code(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()

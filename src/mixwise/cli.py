"""The command line: parse, call a stage, print. No logic lives here, and no torch at import."""

from __future__ import annotations

from mixwise.interrupts import end_at_once_when_asked

if __name__ == "__main__":
    end_at_once_when_asked()  # Ctrl-C may come while the imports below are being loaded

import signal
import sys
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import is_dataclass, replace
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mixwise import __version__, console
from mixwise.errors import MixwiseWarning, ResourceError, StudyError

if TYPE_CHECKING:
    from mixwise.api import Study
    from mixwise.stages.merged_folder import MergedModel
    from mixwise.stages.score import ScoredMixture
    from mixwise.stages.units import UnitsFound

_UNKNOWN_SCORES = "; the scores are not all known yet, and to measure them takes the study alone"

app = typer.Typer(
    help="Which mixture of my datasets should I train on? Answered by merging experts, verified by "
    "training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Machine-readable result on stdout.")]
StudyPath = Annotated[Path, typer.Argument(help="Folder of the study.", metavar="STUDY")]
RecipeFile = Annotated[Path, typer.Argument(help="The recipe, a YAML file.", metavar="RECIPE")]
Trust = Annotated[
    bool, typer.Option("--trust-remote-code", help="Let code from the base model's folder run.")
]
Verified = Annotated[
    bool,
    typer.Option(
        "--verify", help="Train references, baselines and second seeds too, as `verify: true`."
    ),
]


Reused = Annotated[
    Path | None,
    typer.Option(
        "--reuse",
        metavar="STUDY",
        help="Another study, which is only read: its experts and references are gone on with where "
        "base, data and training are the same.",
    ),
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
    folder: Annotated[Path, typer.Argument(metavar="[DIR]")] = Path(),
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
    _show({"recipe": str(path)}, as_json, lambda: console.print_text(text))


@app.command()
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
        float | None, typer.Option(min=0, metavar="MONEY", help="Of one device of --on.")
    ] = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
    verified: Verified = False,
) -> None:
    """Find out everything that can be known before training."""
    from dataclasses import asdict

    if price_per_hour is not None and on is None:
        raise typer.BadParameter("--price-per-hour is that of a device: name them by --on")
    if create and on is not None:
        raise typer.BadParameter("--create makes a study here, --on asks of elsewhere")

    from mixwise.api import Study, check_recipe

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


@app.command()
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


@app.command()
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


@app.command()
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
        trained = _on_study(
            study, "experts", lambda opened: opened.train_experts(), trust_remote_code
        )
    else:
        trained = _train_some(study, only, trust_remote_code)
    shown = {name: str(folder) for name, folder in trained.items()}
    _show(shown, as_json, lambda: console.print_lines(shown))


@app.command()
def search(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Score merged candidates and recommend a mixture."""
    found = _on_study(study, "search", lambda opened: opened.search(), trust_remote_code)
    _show(found, as_json, lambda: console.print_recommendation(found))


@app.command()
def validate(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train reference mixtures and compare the proxy with them."""
    found = _on_study(study, "validate", lambda opened: opened.validate(), trust_remote_code)
    _show(found, as_json, lambda: console.print_fidelity(found.fidelity["objective"]))


@app.command()
def train(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Train the recommended mixture and its baselines for real."""
    final = _on_study(study, "train", lambda opened: opened.train(), trust_remote_code)
    _show(final, as_json, lambda: console.print_outcome(final.outcome))


@app.command()
def score(
    study: StudyPath,
    mixture: Annotated[
        list[str],
        typer.Option(
            help="Shares, by the recipe's `shares_by`: math=0.7,code=0.3; may be repeated."
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

    known = _read_study(study, stage, trust_remote_code, rule=rule)
    scores = known or _on_study(
        study, "score", stage, trust_remote_code, rule=rule, why=_UNKNOWN_SCORES
    )
    _show(scores, as_json, lambda: console.print_scores(scores))


@app.command()
def merge(
    source: Annotated[
        Path,
        typer.Argument(
            help="Folder of the study, or a configuration of mergekit.", metavar="STUDY|CONFIG"
        ),
    ],
    to: Annotated[Path, typer.Option(help="New folder for the merged model.", metavar="DIR")],
    mixture: Annotated[
        str | None,
        typer.Option(help="Shares: math=0.7,code=0.3; the recommended ones (best) when left out."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Merge rule; the recipe's when left out.")
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Of the tensors; the base's when left out."),
    ] = None,
    adapter: Annotated[
        bool, typer.Option("--adapter", help="Write one LoRA adapter, of experts that are some.")
    ] = False,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Write a merge of the experts as a model that anyone can load."""

    def stage(opened: Study) -> MergedModel:
        from mixwise.stages.merge import BEST, merge_study

        form: Literal["model", "adapter"] = "adapter" if adapter else "model"
        chosen = mixture or BEST
        return merge_study(opened.workspace, chosen, to, form=form, precision=precision)

    if not source.is_file():
        merged = _read_study(source, stage, trust_remote_code, rule=rule)
    elif mixture or rule or adapter:
        raise typer.BadParameter("a configuration of mergekit says what is merged, and how")
    else:
        from mixwise.api import cache_folder
        from mixwise.stages.mergekit import merge_config

        merged = merge_config(
            source, to, cache_folder(), precision=precision, trust_remote_code=trust_remote_code
        )
    _show(merged, as_json, lambda: console.print_text(f"Wrote {merged.folder}"))


@app.command()
def diagnose(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Show size and angles of the experts' task vectors, and the fidelity that was measured."""
    found = _on_study(study, "diagnose", lambda opened: opened.diagnose(), trust_remote_code)
    _show(found, as_json, lambda: console.print_diagnosis(found))


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
    sequences: Annotated[
        int | None,
        typer.Option(help="Held-out rows of each set. Default: 16 sequences, or 256 examples."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
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
        content = _on_study(study, "units", stage, trust_remote_code)
    elif (model or sequences) and not study:
        raise typer.BadParameter("--model and --sequences choose among what a STUDY holds: give it")
    elif classifier and images and not study:
        content = measure_classifier_units(classifier, images, settings)
    else:
        raise typer.BadParameter("give either STUDY, or --classifier together with --images")
    _show(content, as_json, lambda: console.print_units(content))


@app.command()
def report(
    studies: Annotated[
        list[Path],
        typer.Argument(help="Folder of the study; several are put side by side.", metavar="STUDY…"),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            help="File to write; by default report.html in the study, and comparison.html here "
            "for several."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write report.html anew from what the study holds, even while it is being worked on."""
    from mixwise.report.page import save_report
    from mixwise.report.several import COMPARISON_FILE, save_comparison
    from mixwise.study.folder import StudyFolder

    folders = [*dict.fromkeys(StudyFolder.open(study).folder for study in studies)]
    if len(folders) == 1:
        path = save_report(folders[0], output)
    else:
        path = save_comparison(folders, output or Path(COMPARISON_FILE))
    _show({"report": str(path)}, as_json, lambda: console.print_text(f"Report: {path}"))


@app.command()
def watch(
    study: StudyPath,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; 0 for any that is free.")
    ] = 0,
) -> None:
    """Serve the study's page to this machine while the study runs; end with Ctrl-C."""
    from mixwise.interrupts import Interrupted
    from mixwise.report.watch import PageServer
    from mixwise.stages.status import read_status
    from mixwise.study.folder import StudyFolder

    opened = StudyFolder.open(study)
    with PageServer(
        opened.folder, lambda: console.status_lines(read_status(opened)), port
    ) as server:
        console.print_text(f"Watching {study} at {server.address} (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except Interrupted as stopped:
            if stopped.number != signal.SIGINT:
                raise


@app.command()
def verify(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Read everything that the results rest on, and compare its hashes; exit 1 if one is wrong."""
    from mixwise.api import cache_folder
    from mixwise.stages.verify import verify_study
    from mixwise.study.folder import StudyFolder
    from mixwise.study.inputs import Settings

    opened = StudyFolder.open(study)
    settings = Settings(opened.recipe_folder, cache_folder(), trust_remote_code)
    findings = verify_study(opened, settings)
    content = {"findings": _as_json(list(findings))}
    _show(content, as_json, lambda: console.print_findings(findings))
    if any(finding.state in ("wrong", "missing") for finding in findings):
        raise typer.Exit(1)


@app.command()
def status(study: StudyPath, as_json: Json = False) -> None:
    """Show how far a study is, and which process works in it."""
    from mixwise.stages.status import read_status
    from mixwise.study.folder import StudyFolder

    content = read_status(StudyFolder.open(study))
    _show(content, as_json, lambda: console.print_status(content))


@app.command()
def export(
    study: StudyPath,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            "--format",
            help="shares (default): token counts as JSON; csv: a table of them; rows: the blended "
            "rows; stream: the exact token stream as JSONL; trl, axolotl, llamafactory, "
            "llamafactory-v1, ms-swift, megatron, nemo, olmo-core, torchtitan, huggingface: a "
            "configuration of that trainer; or the name of an exporter of yours.",
        ),
    ] = None,
    output: Annotated[Path | None, typer.Option(help="File to write.")] = None,
    materialise: Annotated[
        Literal["jsonl", "parquet"] | None,
        typer.Option(
            help="Write the blended rows themselves beside it, exact to the row, and name that "
            "file in place of your own."
        ),
    ] = None,
    as_json: Json = False,
    trust_remote_code: Trust = False,
) -> None:
    """Hand the recommended mixture to a trainer."""
    from mixwise.export.exporters import EXPORTERS
    from mixwise.export.exporters import export as write_export
    from mixwise.study.folder import StudyFolder

    exporter = EXPORTERS.find(to or ("shares" if materialise is None else "rows"))
    if exporter.needs_study:
        content = _read_study(
            study,
            lambda opened: opened.export(exporter.name, output, materialise),
            trust_remote_code,
        )
    else:  # neither the base nor the data has to be there
        content = write_export(exporter, StudyFolder.open(study), output=output, rows=materialise)
    written = ", ".join([content["file"], *content.get("beside", [])])
    _show(content, as_json, lambda: console.print_text(f"Wrote {written}"))


@app.command()
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
            help="YAML file of bounds, groups, limits, cost and grid, as in a recipe's `search`."
        ),
    ] = None,
    prefer: Annotated[
        Literal["uniform", "none"], typer.Option(help="What is taken among equals.")
    ] = "uniform",
    seed: Annotated[int, typer.Option(min=0, help="Of folds and draws.")] = 0,
    report: Annotated[
        Path | None, typer.Option(help="Write a page of it, one file that opens offline.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Recommend a mixture by runs that exist already, whoever trained them, and say how sure it is.

    No model is needed. What to train next comes with the answer.
    """
    from mixwise.swarm import fit_swarm, parse_asked, parse_space, read_swarm

    table = read_swarm(runs, parse_asked(domains, metric or (), by or ()))
    space = parse_space(
        table.domains, min_share or (), max_share or (), limits=limits, fixed=table.fixed
    )
    with console.progress("fitting") as shown:
        found = fit_swarm(table, space, prefer=prefer, seed=seed, on_progress=shown)
    if report is not None:
        from mixwise.report.fit_page import save_fit_page

        save_fit_page(found, report)
    _show(found, as_json, lambda: console.print_fit(found))
    if report is not None and not as_json:
        console.print_text(f"Report: {report}")


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
    _show(found, as_json, lambda: console.print_recommendation(found))
    if not as_json:
        console.print_text(f"\nStudy:  {folder}\nReport: {folder / 'report.html'}")


def _on_study(
    folder: Path,
    name: str,
    stage: Callable[[Study], Any],
    trust_remote_code: bool,
    *,
    rule: str | None = None,
    why: str = "",
) -> Any:
    """Run a stage on a study that exists, and that nobody else works on."""
    from mixwise.api import Study

    with console.progress(name) as shown, ExitStack() as held:
        study = Study.open(
            folder, rule=rule, trust_remote_code=trust_remote_code, on_progress=shown
        )
        try:
            held.enter_context(study)
        except (StudyError, ResourceError) as error:
            raise type(error)(f"{error}{why}") from None
        shown.begin(name)
        return stage(study)


def _train_some(folder: Path, domains: str, trust_remote_code: bool) -> dict[str, Path]:
    """Train some experts of a study, which other processes may do as well."""
    from mixwise.api.study import train_some_experts

    names = [name.strip() for name in domains.split(",") if name.strip()]
    if not names:
        raise typer.BadParameter("--only takes names of domains, such as math,code")
    with console.progress("experts") as shown:
        shown.begin("experts")
        return train_some_experts(
            folder, names, trust_remote_code=trust_remote_code, on_progress=shown
        )


def _read_study(
    folder: Path,
    stage: Callable[[Study], Any],
    trust_remote_code: bool,
    *,
    rule: str | None = None,
) -> Any:
    """Run a stage that measures and writes nothing, whoever else works on the study."""
    from mixwise.api import Study

    with console.progress("reading") as shown:
        study = Study.open(
            folder,
            rule=rule,
            trust_remote_code=trust_remote_code,
            read_only=True,
            on_progress=shown,
        )
        with study:
            return stage(study)


def _show(content: Any, as_json: bool, print_it: Callable[[], object]) -> None:
    if not as_json:
        print_it()
        return
    console.print_json(_as_json(content))


def _as_json(content: Any) -> Any:
    """What a stage returns, as what `json` can write."""
    if isinstance(content, list):
        return [_as_json(item) for item in content]
    if hasattr(content, "to_json"):
        return content.to_json()
    if not is_dataclass(content):
        return content
    from mixwise.study.result_files import result_to_json

    return result_to_json(content)


def main() -> None:
    """Run the command line: 0 done, 1 an error, 2 usage, 130, 143 or 129 stopped by a signal."""
    sys.exit(console.run_to_exit_code(lambda: app(standalone_mode=False)))


if __name__ == "__main__":
    main()

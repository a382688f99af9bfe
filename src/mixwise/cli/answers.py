"""Commands that read what a study holds and hand it on, from merge to status."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mixwise import console
from mixwise.cli.opened import as_document, read_study, show_result
from mixwise.cli.options import Json, StudyPath, Trust

if TYPE_CHECKING:
    from mixwise.api import Study
    from mixwise.stages.merged_folder import MergedModel


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
        typer.Option(
            metavar="SHARES", help="math=0.7,code=0.3; the recommended ones (best) when left out."
        ),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(help="Merge rule; the recipe's when left out.")
    ] = None,
    precision: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Precision of the tensors; the base's when left out."),
    ] = None,
    adapter: Annotated[
        bool,
        typer.Option("--adapter", help="Write one LoRA adapter; the experts must be adapters too."),
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
        merged = read_study(source, stage, trust_remote_code, rule=rule)
    elif mixture or rule or adapter:
        raise typer.BadParameter("a configuration of mergekit says what is merged, and how")
    else:
        from mixwise.api import cache_folder
        from mixwise.stages.mergekit import merge_config

        merged = merge_config(
            source, to, cache_folder(), precision=precision, trust_remote_code=trust_remote_code
        )
    show_result(merged, as_json, lambda: console.print_text(f"Wrote {merged.folder}"))


def export(
    study: StudyPath,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            "--format",
            help="shares (default): counts of tokens or examples as JSON; csv: a table of them; "
            "rows: the blended rows; stream: the exact token stream as JSONL; trl, axolotl, "
            "llamafactory, llamafactory-v1, ms-swift, megatron, nemo, olmo-core, torchtitan, "
            "huggingface: a configuration of that trainer; or the name of an exporter of yours.",
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option(help="File to write; by default one in the study.")
    ] = None,
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
        content = read_study(
            study,
            lambda opened: opened.export(exporter.name, output, materialise),
            trust_remote_code,
        )
    else:  # neither the base nor the data has to be there
        content = write_export(exporter, StudyFolder.open(study), output=output, rows=materialise)
    written = ", ".join([content["file"], *content.get("beside", [])])
    show_result(content, as_json, lambda: console.print_text(f"Wrote {written}"))


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
    show_result({"report": str(path)}, as_json, lambda: console.print_text(f"Report: {path}"))


def watch(
    study: StudyPath,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to serve on; 0 for any that is free.")
    ] = 0,
    as_json: Json = False,
) -> None:
    """Serve the study's page to this machine while the study runs; end with Ctrl-C.

    Then it says what `status` says.
    """
    from mixwise.interrupts import Interrupted
    from mixwise.report.watch import PageServer
    from mixwise.stages.status import read_status
    from mixwise.study.folder import StudyFolder

    opened = StudyFolder.open(study)
    with PageServer(
        opened.folder, lambda: console.status_lines(read_status(opened)), port
    ) as server:
        tell = console.print_note if as_json else console.print_text
        tell(f"Watching {study} at {server.address} (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except Interrupted as stopped:
            if stopped.number != signal.SIGINT:
                raise
    found = read_status(opened)
    show_result(found, as_json, lambda: console.print_status(found))


def verify(study: StudyPath, as_json: Json = False, trust_remote_code: Trust = False) -> None:
    """Read everything that the results rest on, and compare its hashes; exit 1 if one is wrong."""
    from mixwise.api import cache_folder
    from mixwise.stages.verify import verify_study
    from mixwise.study.folder import StudyFolder
    from mixwise.study.inputs import Settings

    opened = StudyFolder.open(study)
    settings = Settings(opened.recipe_folder, cache_folder(), trust_remote_code)
    findings = verify_study(opened, settings)
    content = {"findings": as_document(list(findings))}
    show_result(content, as_json, lambda: console.print_findings(findings))
    if any(finding.state in ("wrong", "missing") for finding in findings):
        raise typer.Exit(1)


def status(study: StudyPath, as_json: Json = False) -> None:
    """Show how far a study is, and which process works in it."""
    from mixwise.stages.status import read_status
    from mixwise.study.folder import StudyFolder

    content = read_status(StudyFolder.open(study))
    show_result(content, as_json, lambda: console.print_status(content))

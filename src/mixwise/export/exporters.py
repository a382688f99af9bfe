"""The table of exporters, and the export itself: the recommended mixture as a trainer takes it.

Shares are by tokens, whatever those of the recipe count, and every exporter says in what it writes
how it has turned them into its trainer's own meaning.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

from mixwise.errors import RecipeError, ResourceError, StudyError, printable
from mixwise.export.exporter import Delivery, Export, Exporter, RowsFormat, SideFile
from mixwise.export.from_study import source_files
from mixwise.export.shares import make_shares
from mixwise.export.stream import make_stream
from mixwise.export.trainer_exports import (
    deliver_csv,
    deliver_rows,
    delivering,
    trainer_exporter,
)
from mixwise.export.trainers.axolotl import AXOLOTL
from mixwise.export.trainers.huggingface import HUGGINGFACE
from mixwise.export.trainers.llamafactory import LLAMAFACTORY
from mixwise.export.trainers.llamafactory_v1 import LLAMAFACTORY_V1
from mixwise.export.trainers.megatron import MEGATRON
from mixwise.export.trainers.ms_swift import MS_SWIFT
from mixwise.export.trainers.nemo import NEMO
from mixwise.export.trainers.olmo_core import OLMO_CORE
from mixwise.export.trainers.torchtitan import TORCHTITAN
from mixwise.export.trainers.trl import TRL
from mixwise.registry import Table
from mixwise.shortages import explain_failed_write
from mixwise.study.folder import StudyFolder
from mixwise.study.result_files import load_result
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace
from mixwise.study.workbench import Workbench

TRAINERS = (
    TRL,
    AXOLOTL,
    LLAMAFACTORY,
    LLAMAFACTORY_V1,
    MS_SWIFT,
    MEGATRON,
    NEMO,
    OLMO_CORE,
    TORCHTITAN,
    HUGGINGFACE,
)
EXPORTERS: Table[Exporter] = Table(
    "exporter",
    (
        Exporter("shares", "counts of tokens or examples as JSON", "mixture.json", make_shares),
        Exporter(
            "stream",
            "the exact token stream as JSONL",
            "stream.jsonl",
            make_stream,
            needs_study=True,
        ),
        delivering("rows", "the blended rows themselves", "materialised.json", deliver_rows),
        delivering("csv", "shares and counts as a table", "mixture.csv", deliver_csv),
        *(trainer_exporter(trainer) for trainer in TRAINERS),
    ),
)


def register_exporter(exporter: Exporter) -> None:
    """Add an exporter of your own, and let `mixwise export` name it.

    Args:
        exporter: The new row.

    Raises:
        RecipeError: If the name is taken.
    """
    EXPORTERS.add(exporter)


def export(
    exporter: Exporter,
    study: StudyFolder,
    workspace: Workbench | None = None,
    output: Path | None = None,
    rows: RowsFormat | None = None,
) -> dict[str, Any]:
    """Write the recommended mixture to a file.

    Args:
        exporter: How.
        study: The study; its search must have ended.
        workspace: The same study, opened, for an exporter that needs it.
        output: The file; by default the exporter's, in the study's folder.
        rows: Format of a file of the blended rows that is written beside it; None for none.

    Returns:
        ``file``, and the facts that the exporter gives.

    Raises:
        RecipeError: If rows are asked for that the exporter cannot write, the trainer could not be
            told what the recipe says, or a file of the recipe's data would be written over.
        StudyError: If the study has no recommendation, or one that was made from something else;
            or if its data, which the exporter writes, are read by functions of the user alone.
        ResourceError: If the file cannot be written.
    """
    recommendation = load_result(study, Recommendation)
    if recommendation is None:
        raise StudyError(
            f"{study.folder}: no recommendation yet: run `mixwise search {study.folder}` first"
        )
    source = recommendation.provenance
    if workspace is None and source.recipe_alone != study.recipe.key:
        raise _stale(study, "from another recipe")
    if workspace is not None and source.recipe != workspace.result_key:
        raise _stale(study, "from another recipe, other data or other experts")
    opened = workspace if isinstance(workspace, Workspace) and exporter.needs_study else None
    if exporter.needs_study and workspace is not None and opened is None:
        raise StudyError(
            f"{study.folder}: exporter `{exporter.name}` writes data that mixwise reads, and here "
            "functions of yours read them: use `shares`"
        )
    path = output or study.folder / exporter.file
    if exporter.deliver is not None and opened is not None:
        made = exporter.deliver(recommendation, opened, Delivery(path.absolute(), rows))
    elif rows is not None:
        raise RecipeError(
            f"`--materialise`: exporter `{exporter.name}` writes no rows: use `--to rows`, or name "
            "a trainer"
        )
    else:
        made = exporter.make(recommendation, opened)
    if opened is not None:
        _require_other_files(made, path, opened)
    write_export(made, path)
    others = [str(_as_named(path, each.path)) for each in made.beside]
    return {"file": str(path), **({"beside": others} if others else {}), **made.facts}


def _as_named(file: Path, beside: Path) -> Path:
    """The path of a file beside another, relative or absolute as the other's is."""
    folder = file.absolute().parent
    return file.parent / beside.relative_to(folder) if beside.is_relative_to(folder) else beside


def _require_other_files(made: Export, path: Path, workspace: Workspace) -> None:
    """Refuse to write over data of the recipe."""
    data = {file.resolve() for file in source_files(workspace)}
    for target in (path, *(each.path for each in made.beside)):
        if target.resolve() in data:
            raise RecipeError(
                f"`--output`: {printable(str(target))} would be written over, which holds rows of "
                "the study: name another file"
            )


def _stale(study: StudyFolder, how: str) -> StudyError:
    return StudyError(
        f"{study.folder}: the recommendation was made {how}: run `mixwise search {study.folder}` "
        "again"
    )


def write_export(made: Export, path: Path) -> None:
    """Write the files beside it, and then the exporter's own, each at once or not at all.

    Args:
        made: What an exporter gives.
        path: Its own file.

    Raises:
        ResourceError: If one cannot be written.
    """

    def write_lines(target: Path) -> None:
        with target.open("w", encoding="utf-8") as file:
            file.writelines(f"{line}\n" for line in made.lines)

    for each in (*made.beside, SideFile(path, write_lines)):
        _write(each)


def _write(file: SideFile) -> None:
    path = file.path
    partial = path.with_name(f".{path.name}.partial")
    try:
        file.write(partial)
        partial.replace(path)
    except OSError as error:
        raise ResourceError(
            f"{explain_failed_write(error, path)}, or name another file with `--output`"
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)

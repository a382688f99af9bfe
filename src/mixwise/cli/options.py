"""Arguments and options that several commands take."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

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
        help="Another study, which is only read: its experts and references are taken over where "
        "base, data and training are the same.",
    ),
]

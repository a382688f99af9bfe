"""The commands in the order of the help, and what they share: parse, call a stage, print.

No logic lives here, and no torch is imported before a command asks for it.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from mixwise import __version__, console
from mixwise.cli.answers import export, merge, report, status, verify, watch
from mixwise.cli.jobs import check, demo, init, run
from mixwise.cli.runs import fit
from mixwise.cli.steps import diagnose, experts, score, search, train, units, validate

_COMMANDS = (
    *(init, check, run, demo),
    *(experts, search, validate, train, score, merge, diagnose, units),
    *(report, watch, verify, status, export),
    fit,
)

app = typer.Typer(
    help="Which mixture of my datasets should I train on? Answered by merging experts, verified by "
    "training.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for _command in _COMMANDS:
    app.command()(_command)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        console.print_text(f"mixwise {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command line: 0 done, 1 an error, 2 usage, 130, 143 or 129 stopped by a signal."""
    sys.exit(console.run_to_exit_code(lambda: app(standalone_mode=False)))

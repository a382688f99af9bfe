"""What a page tells its reader to do, done in a folder; what is not done is checked."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from tools.docs.blocks import ROOT, Block, Step, is_shown, read_steps
from typer.main import get_command

from mixwise.cli.app import app
from mixwise.recipe import parse_recipe

Cli = Callable[..., tuple[int, str, str]]
MINIMAL: Mapping[str, Any] = {
    "base": "base",
    "domains": {"math": {"files": "math.jsonl"}, "code": {"files": "code.jsonl"}},
    "horizon_tokens": 1_000_000,
}
NOT_RUN = ("make", "pip", "git", "trl", "axolotl", "llamafactory-cli", "swift", "open", "xdg-open")


@dataclass
class Reader:
    """Who follows a page from top to bottom.

    Args:
        folder: Where he works; the working directory.
        mixwise: The command line.
    """

    folder: Path
    mixwise: Cli
    names: dict[str, Any] = field(default_factory=lambda: {"__name__": "page"})

    def follow(self, block: Block) -> None:
        """Do what a block says."""
        if block.mark == "file":
            (self.folder / block.reason).write_text(block.text, encoding="utf-8")
        elif block.language == "python":
            exec(compile(block.text, block.place, "exec"), self.names)
        elif block.language in ("console", "sh"):
            for step in read_steps(block):
                self.do(step, block)

    def do(self, step: Step, block: Block) -> None:
        """Run one command, and compare what it prints with what the page shows."""
        words = shlex.split(step.command)
        if words[0] in NOT_RUN:
            check_command(step.command, block.place)
            return
        if words[0] == "mixwise":
            code, out, err = self.mixwise(*words[1:])
        else:
            words = [sys.executable, *words[1:]] if words[0] == "python" else words
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            code, out, err = done.returncode, done.stdout, done.stderr
        wanted = 1 if block.mark == "fails" else 0
        assert code == wanted, f"{block.place}: `{step.command}` ended with {code}:\n{out}{err}"
        assert any(is_shown(step.shown, text) for text in (out, err, err + out)), (
            f"{block.place}: `{step.command}` printed\n{out}{err}\nand not\n{step.shown}"
        )


def check_block(block: Block) -> None:
    """Whether a block makes sense by itself, run or not."""
    if block.mark == "other":
        return
    if block.language == "python":
        compile(block.text, block.place, "exec")
    elif block.language == "yaml":
        check_recipe_part(block)
    elif block.language in ("console", "sh"):
        for step in read_steps(block):
            check_command(step.command, block.place)


def check_recipe_part(block: Block) -> None:
    """Whether a recipe, or keys of one, are such that mixwise takes them."""
    given = yaml.safe_load(block.text)
    values = {**MINIMAL, **given}
    if "base" not in given:
        values["domains"] = {**MINIMAL["domains"], **given.get("domains", {})}
    if "task" in given or "horizon_examples" in given:
        values["horizon_examples"] = values.pop("horizon_tokens")
        values.update(given)
    parse_recipe(yaml.safe_dump(values, sort_keys=False), block.place)


def check_command(command: str, place: str) -> None:
    """Whether a command exists, with its flags; of `make` and `pip` by the files that they read."""
    words = shlex.split(command)
    if words[0] == "mixwise":
        group: Any = get_command(app)
        if words[1].startswith("--"):
            group.make_context("mixwise", words[1:], resilient_parsing=True)
            return
        assert words[1] in group.commands, f"{place}: there is no `mixwise {words[1]}`"
        group.commands[words[1]].make_context(words[1], list(words[2:]))
    elif words[0] == "make":
        targets = re.findall(r"(?m)^([a-z-]+):", (ROOT / "Makefile").read_text())
        assert set(words[1:]) <= {*targets, *(w for w in words if "=" in w)}, f"{place}: {command}"
    elif words[0] == "pip":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        for extras in re.findall(r"\[([\w, -]+)\]", command):
            known = project["optional-dependencies"]
            assert {each.strip() for each in extras.split(",")} <= set(known), f"{place}: {command}"

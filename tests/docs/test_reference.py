from __future__ import annotations

import doctest
import re
from types import ModuleType
from typing import Literal

import pytest
from tests.stages.test_init import keys_of
from tools.docs import blocks, links, recipe_page, texts
from tools.docs.command_page import render_command_page
from tools.docs.recipe_page import describe_type, read_comments, render_recipe_page
from tools.docs.reference import FOLDER, PAGES
from typer.testing import CliRunner

import mixwise
from mixwise.cli.app import app
from mixwise.recipe import Recipe


@pytest.mark.parametrize("name", list(PAGES))
def test_pages_say_what_the_code_says(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == PAGES[name]().rstrip() + "\n", "run: python -m tools.docs.reference"


def test_every_key_of_a_recipe_is_there() -> None:
    page = render_recipe_page()
    assert not [key for key in keys_of(Recipe) if f"| `{key}` |" not in page]


def test_comments_of_init_are_found_by_their_path() -> None:
    comments = read_comments()
    assert (
        comments["base"] == "folder of a Hugging Face model, or its name on the hub (name@revision)"
    )
    assert comments["search.max_repetition"] == "most epochs of any domain"
    assert comments["domains.NAME.learn"].startswith("assistant (its turns)")
    assert comments["evaluation.placement"].startswith("or split (over all GPUs)")


def test_every_option_of_the_help_is_there() -> None:
    page = render_command_page()
    for command in app.registered_commands:
        assert command.callback is not None
        name = command.callback.__name__
        shown = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200"}).output
        section = page.split(f"## `mixwise {name}`")[1].split("\n## ")[0]
        flags = set(re.findall(r"(?<!\w)--[a-z][a-z-]+", shown)) - {"--help", "--format"}
        assert not [flag for flag in flags if flag not in section], name


def test_types_are_said_in_words() -> None:
    assert describe_type(dict[str, float]) == "`NAME:` number"
    assert describe_type(Literal["a"] | int) == "`a` or whole number"


def test_every_public_name_is_there() -> None:
    page = PAGES["python.md"]()
    assert not [
        name for name in mixwise.__all__[:-1] if f"| `{name}` |" not in page and name[0] != "_"
    ]


@pytest.mark.parametrize("module", [blocks, links, recipe_page, texts])
def test_examples_of_the_tools_are_right(module: ModuleType) -> None:
    found = doctest.testmod(module)
    assert found.attempted
    assert not found.failed

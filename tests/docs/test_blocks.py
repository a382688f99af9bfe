"""Every command, every piece of code and every recipe of the documentation is tried."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from tests.command_line import Cli
from tests.docs.running import Reader, check_block
from tests.docs.world import make_world
from tools.docs.blocks import LANGUAGES, ROOT, Block, is_shown, pages, read_blocks

from mixwise import registry
from mixwise.engine.engines import ENGINES
from mixwise.export.exporters import EXPORTERS
from mixwise.kinds import KINDS
from mixwise.merging.rule_table import RULES
from mixwise.records.formats import FORMATS
from mixwise.search.method_table import METHODS

BLOCKS = {str(page.relative_to(ROOT)): list(read_blocks(page)) for page in pages()}
RUN = [name for name, blocks in BLOCKS.items() if any(not block.mark for block in blocks)]
SLOW = [name for name, blocks in BLOCKS.items() if any(b.mark == "slow" for b in blocks)]


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory, pico_base: Path) -> Path:
    return make_world(tmp_path_factory.mktemp("world"), pico_base)


@pytest.fixture
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Takes away what a page registers."""
    every: tuple[Any, ...] = (ENGINES, EXPORTERS, FORMATS, KINDS, METHODS, RULES)
    for table in every:
        monkeypatch.setattr(table, "_rows", dict(table._rows))
    monkeypatch.setattr(registry, "_added", {k: list(v) for k, v in registry._added.items()})


def follow(name: str, folder: Path, mixwise: Cli, left_out: tuple[str, ...]) -> None:
    reader = Reader(folder, mixwise)
    for block in BLOCKS[name]:
        if block.mark not in ("parsed", "other", *left_out):
            reader.follow(block)


@pytest.mark.parametrize("name", list(BLOCKS))
def test_each_block_makes_sense_by_itself(name: str) -> None:
    for block in BLOCKS[name]:
        assert block.language in LANGUAGES, f"{block.place}: name the language of the block"
        check_block(block)


@pytest.mark.usefixtures("tables")
@pytest.mark.parametrize("name", RUN)
def test_what_a_page_says_can_be_done(
    name: str, world: Path, tmp_path: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(world, tmp_path / "page"))
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    follow(name, folder, mixwise, ("slow",))


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_what_takes_long_can_be_done_too(
    name: str, tmp_path: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    follow(name, tmp_path, mixwise, ())


def test_a_reason_stands_beside_every_mark() -> None:
    marked = [block for blocks in BLOCKS.values() for block in blocks if block.mark]
    assert marked
    assert all(block.reason for block in marked)


@pytest.mark.parametrize(
    ("language", "text", "error"),
    [
        ("console", "$ mixwise conjure", "there is no `mixwise conjure`"),
        ("console", "$ mixwise check r.yaml --fast", "(?i)no such option"),
        ("sh", "make tea", "make tea"),
        ("sh", "pip install 'mixwise[tea]'", "tea"),
        ("python", "if:", "invalid syntax"),
        ("yaml", "search: {methods: auto}", "methods"),
    ],
)
def test_what_makes_no_sense_is_noticed(language: str, text: str, error: str) -> None:
    with pytest.raises(BaseException, match=error):
        check_block(Block("here:1", language, "parsed", "a test", text))


def test_a_first_line_without_meaning_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"page\.md:2: `python perhaps: it rains` is no language"):
        list(read_blocks(tmp_path / "page.md", "\n```python perhaps: it rains\n1\n```\n"))


def test_output_that_is_not_printed_is_noticed(tmp_path: Path, mixwise: Cli) -> None:
    reader = Reader(tmp_path, mixwise)
    with pytest.raises(AssertionError, match="and not"):
        reader.follow(Block("here:1", "console", "", "", "$ mixwise --version\nmixwise is ready\n"))
    assert is_shown("mixwise 9.9.9", "mixwise 0.1.0")

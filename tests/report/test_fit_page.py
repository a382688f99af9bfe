from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from tests.swarm.test_fit import make

from mixwise.errors import ResourceError
from mixwise.report.fit_page import render_fit_page, save_fit_page
from mixwise.swarm import SwarmFit, fit_swarm


@pytest.fixture(scope="module")
def found() -> SwarmFit:
    return fit_swarm(make(30, noise=0.2))  # noise enough that some runs cannot be told apart


def test_the_page_holds_the_answer_the_interval_and_what_to_train_next(found: SwarmFit) -> None:
    page = render_fit_page(found)
    assert f"<h1>{found.answer}</h1>" in page
    assert "30 runs of 30 mixtures of 3 domains" in page
    assert "What to train next" in page
    assert found.equals[0].place in page
    for name in ("math", "code", "web", "m0/loss", "m1/loss"):
        assert name in page
    assert page.count('class="plot"') == 2


def test_names_cannot_write_markup(found: SwarmFit) -> None:
    metrics = {"<script>alert(1)</script>": found.metrics["m0/loss"]}
    page = render_fit_page(replace(found, metrics=metrics, answer="<b>"))
    assert "<script>alert" not in page
    assert "<h1>&lt;b&gt;</h1>" in page


def test_what_is_doubtful_is_said(found: SwarmFit) -> None:
    page = render_fit_page(replace(found, fixed={"web": 0.1}, beyond={"math": 0.4}, equals=()))
    assert "All runs have the same share of <code>web</code> 10" in page
    assert "No run has had as much of <code>math</code>" in page
    assert "Every mixture of the table can be told" in page


def test_a_page_that_cannot_be_written_is_an_error_in_one_line(
    found: SwarmFit, tmp_path: Path
) -> None:
    save_fit_page(found, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().startswith("<!doctype html>")
    with pytest.raises(ResourceError, match="another file with `--report`"):
        save_fit_page(found, tmp_path / "missing" / "page.html")

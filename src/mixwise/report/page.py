"""The report: one HTML file that shows a whole study and opens without a network.

Method:
    Files of the study → values (`reading`) → sections of markup and charts → the page around
    them (`document`), whose content security policy forbids it to ask for anything outside itself.
"""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go

from mixwise.errors import ResourceError, StudyError
from mixwise.files import replace_file
from mixwise.report import curves, front, notices, sections, trust
from mixwise.report.contents import Contents
from mixwise.report.document import page_around
from mixwise.report.markup import Html, join, prose, tag
from mixwise.report.reading import load_contents
from mixwise.study.folder import REPORT_FILE

_WINDOW = "mixwise report"
_SECTIONS = {
    "explore": ("Try other mixtures", curves.explored),
    "reasons": ("Why this mixture, and how far to trust it", sections.reasons),
    "baselines": ("Recommended beside the baselines", sections.baselines),
    "front": ("What more of one group of metrics costs in another", front.front),
    "candidates": ("Scored candidates", sections.candidates),
    "calibration": ("What the proxy misses", trust.calibration),
    "validation": ("Proxy against reference", sections.validation),
    "diagnosis": ("Task vectors, and what they predict", trust.diagnosis),
    "horizon": ("From the experts' horizon to the final one", curves.horizon),
    "notices": ("Notices", notices.notices),
    "cost": ("Cost spent and avoided", sections.cost),
    "provenance": ("Provenance", sections.provenance),
}


def save_report(folder: Path, output: Path | None = None) -> Path:
    """Write ``report.html`` from the files of a study, at once or not at all.

    Args:
        folder: The study; stages that have not run yet are named on the page.
        output: The file; by default ``report.html`` in the study.

    Returns:
        The report's path.

    Raises:
        DamagedError: If a file of the study is not what was written.
        StudyError: If one is of another version or cannot be read.
        ResourceError: If the report cannot be written, as on a full disk.
    """
    path = output or folder / REPORT_FILE
    text = render_page(load_contents(folder))
    try:
        replace_file(path, text.encode("utf-8", errors="replace"))  # JSON may hold half a pair
    except ResourceError as error:
        raise ResourceError(f"{error}, or name another file with `--output`") from None
    return path


def render_page(contents: Contents) -> str:
    """Turn the contents of a study into the text of the page."""
    return page_around(_body(contents, join([])), _WINDOW)


def render_live_page(contents: Contents, version: str) -> str:
    """The page as it is served while the study runs.

    Args:
        contents: Of the study.
        version: Of its results; the page is loaded again when it is another.
    """
    live = tag("pre", id="live", data_version=version, role="status", tabindex="0")
    return page_around(_body(contents, live), _WINDOW, is_live=True)


def _body(contents: Contents, above: Html) -> Html:
    return join(
        [
            _header(contents, above),
            tag("main", *(_section(key, contents) for key in _shown(contents))),
            tag("footer", "Written by mixwise from the files of the study folder."),
        ]
    )


def _header(contents: Contents, above: Html) -> Html:
    links = [tag("a", _SECTIONS[key][0], href=f"#{key}") for key in _shown(contents)]
    return tag(
        "header",
        above,
        tag("h1", _title(contents)),
        tag("p", prose(_about(contents)), class_="soft"),
        sections.headline(contents),
        tag("nav", *links, aria_label="Sections"),
    )


def _about(contents: Contents) -> str:
    n = len(contents.domains)
    domains = f"{n} domain{'s' * (n != 1)}"
    if not contents.problem:
        return domains
    return (
        f"{domains} of the problem `{contents.problem}`, whose functions are Python's: where this "
        "page names a command of mixwise, call the method of that name on what "
        "`ProblemStudy.open(STUDY, problem)` gives"
    )


def _title(contents: Contents) -> str:
    found = contents.recommendation
    return found.answer if found else "Which mixture to train on"


def figure_of(folder: Path, kind: str, metric: str) -> go.Figure:
    """One chart of a study's page.

    Args:
        folder: The study.
        kind: ``mixture``, ``front``, ``baselines``, ``agreement`` or ``profiles``.
        metric: Of the last two.

    Raises:
        StudyError: If the stage behind it has not run, or there is no such chart or metric.
    """
    contents = load_contents(folder)
    chart = sections.charts(contents, metric).get(kind)
    if chart is None:
        raise StudyError(
            f"{folder}: there is no chart `{kind}` of `{metric}`: run the stage behind it first, "
            "or choose one of mixture, front, baselines, agreement and profiles"
        )
    return chart


def _shown(contents: Contents) -> list[str]:
    """The sections of a page: all, and a front and notices where there are any.

    Task vectors of a problem are not diagnosed.
    """
    found = contents.recommendation
    is_there = {"front": found is not None and found.front is not None}
    is_there["notices"] = bool(contents.notices)
    is_there["diagnosis"] = contents.diagnosis is not None or not contents.problem
    return [key for key in _SECTIONS if is_there.get(key, True)]


def _section(key: str, contents: Contents) -> Html:
    title, render = _SECTIONS[key]
    return tag("section", tag("h2", title), render(contents), id=key)

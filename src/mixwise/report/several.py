"""Several studies side by side: answers, what they should reach, trust, price, and shares."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mixwise.errors import ResourceError
from mixwise.files import replace_file
from mixwise.report.contents import Contents
from mixwise.report.document import page_around
from mixwise.report.markup import Html, join, tag
from mixwise.report.numbers import NOTHING, count, interval, number, share, signed
from mixwise.report.reading import load_contents
from mixwise.report.tables import table
from mixwise.study.results import Recommendation

COMPARISON_FILE = "comparison.html"

_NOTE = (
    "Objectives are in units of each study's own experts: those of two studies can be compared "
    "only where base, evaluation and domains are the same. Shares can always be."
)


def save_comparison(folders: Sequence[Path], output: Path) -> Path:
    """Write one page of several studies.

    Args:
        folders: The studies, in the order of the columns.
        output: The file.

    Returns:
        Its path.

    Raises:
        DamagedError: If a file of a study is not what was written.
        StudyError: If one is of another version or cannot be read.
        ResourceError: If the page cannot be written.
    """
    contents = {str(folder): load_contents(folder) for folder in folders}
    text = render_comparison(contents)
    try:
        replace_file(output, text.encode("utf-8", errors="replace"))
    except ResourceError as error:
        raise ResourceError(f"{error}, or name another file with `--output`") from None
    return output


def render_comparison(studies: Mapping[str, Contents]) -> str:
    """Turn the contents of studies, by name, into the text of a page."""
    body = join(
        [
            tag(
                "header",
                tag("h1", f"{len(studies)} studies side by side"),
                tag("p", _NOTE, class_="soft"),
            ),
            tag(
                "main",
                tag("h2", "Answers"),
                tag("div", _answers(studies), class_="side-by-side"),
                tag("h2", "Shares by domain"),
                tag("div", _shares(studies), data_sortable=""),
            ),
            tag("footer", "Written by mixwise from the files of the study folders."),
        ]
    )
    return page_around(body, "mixwise: studies side by side")


def _answers(studies: Mapping[str, Contents]) -> Html:
    found = [contents.recommendation for contents in studies.values()]
    rows = [
        [title, *(_cell(write(each) if each else NOTHING) for each in found)]
        for title, write in _ROWS.items()
    ]
    return table("Answers", ["What", *studies], rows)


def _cell(text: str) -> Html:
    return tag("span", text)


def _reach(found: Recommendation) -> str:
    return f"{signed(found.reference.objective)} ({interval(found.reference.interval_95)})"


def _trust(found: Recommendation) -> str:
    return f"{found.trust.word} ({found.trust.basis})"


def _price(found: Recommendation) -> str:
    spent = count(found.cost.search_tokens_spent)
    return f"{number(found.cost.price)} of a final run ({spent} {found.horizons.unit})"


def _outcome(found: Recommendation) -> str:
    return found.outcome.word if found.outcome else "not trained yet"


def _run(found: Recommendation) -> str:
    return f"{count(found.horizons.run_tokens)} {found.horizons.unit}"


_ROWS: Mapping[str, Callable[[Recommendation], str]] = {
    "Answer": lambda found: found.answer,
    "A trained model should reach (95 %)": _reach,
    "May it be trusted?": _trust,
    "When really trained": _outcome,
    "Price": _price,
    "Final run": _run,
    "Search method": lambda found: found.provenance.method,
}


def _shares(studies: Mapping[str, Contents]) -> Html:
    mixtures = [c.recommendation.score.shares if c.recommendation else {} for c in studies.values()]
    names = dict.fromkeys(name for mixture in mixtures for name in mixture)
    rows = [[name, *(share(m[name]) if name in m else NOTHING for m in mixtures)] for name in names]
    return table("Shares by domain", ["Domain", *studies], rows)

"""The answer on the first screen: shares to copy, and the same as each trainer takes them."""

from __future__ import annotations

from mixwise.data.blend import allocate
from mixwise.report.contents import Contents
from mixwise.report.markup import Html, join, prose, tag
from mixwise.report.numbers import count, number, share
from mixwise.report.palette import looks
from mixwise.report.tables import missing, table
from mixwise.study.results import Recommendation
from mixwise.study.snippets import Snippet


def answer_box(contents: Contents) -> Html:
    """Shares by domain beside the files of the trainers."""
    found = contents.recommendation
    if found is None:
        return join([])
    return tag("div", _shares(found, contents), _snippets(contents), class_="answer")


def _shares(found: Recommendation, contents: Contents) -> Html:
    look, shares = looks(contents.domains), found.score.shares
    tokens, available = _tokens(found), found.run.available_tokens
    rows = [
        [
            name,
            tag(
                "span",
                share(shares[name]),
                tag(
                    "i",
                    class_=f"share {look[name].css_class}",
                    style=f"width:{100 * shares[name]:.1f}%;background-color:{look[name].colour}",
                ),
            ),
            count(tokens[name]),
            number(tokens[name] / available[name]),
        ]
        for name in contents.domains
    ]
    unit = found.horizons.unit.capitalize()
    head = ["Domain", f"Share, by {found.unit_words}", f"{unit} of the final run", "Epochs"]
    return tag(
        "div",
        tag("h2", "Recommended shares"),
        tag("div", table("Recommended shares", head, rows), id="shares"),
        tag("button", "Copy the table", type="button", data_copies="shares"),
    )


def _tokens(found: Recommendation) -> dict[str, int]:
    """Of each domain in the final run, in whole sequences, as every exporter counts them."""
    mixture, run = found.by_tokens, found.run
    counts = allocate(mixture.array, run.n_sequences).tolist()
    return {name: n * run.sequence_length for name, n in zip(mixture.domains, counts, strict=True)}


def _snippets(contents: Contents) -> Html:
    title = tag("h2", "For your trainer")
    if contents.snippets is None:
        made = missing("It is not written for trainers yet.", "mixwise search STUDY")
        return tag("div", title, made)
    rows = contents.snippets.snippets
    options = [
        tag("option", f"{row.exporter} ({row.about})", value=f"snippet-{row.exporter}")
        for row in rows
    ]
    chooser = tag("select", *options, data_panels="snippets", autocomplete="off")
    return tag(
        "div",
        title,
        tag("label", "Trainer ", chooser, class_="chooser"),
        *(_panel(row) for row in rows),
    )


def _panel(row: Snippet) -> Html:
    identifier = f"snippet-{row.exporter}"
    if row.refused:
        parts = [tag("p", prose(row.refused), class_="missing")]
    else:
        text = f"text-{row.exporter}"
        command = tag("code", f"mixwise export STUDY --to {row.exporter}")
        beside = f" with {row.n_beside} more beside it" * bool(row.n_beside)
        parts = [
            tag(
                "pre",
                tag("code", row.text, id=text),
                tabindex="0",
                role="region",
                aria_label=f"File of {row.exporter}",
            ),
            tag("button", "Copy the text", type="button", data_copies=text),
            tag("p", command, f" writes this file{beside}.", class_="caption"),
        ]
    return tag("div", *parts, id=identifier, data_panel="snippets")

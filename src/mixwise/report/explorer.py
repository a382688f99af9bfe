"""The part of the page where the reader tries mixtures: its sliders, tables and lists.

Method:
    Everything is there as markup, named and labelled; the page's script fills in the numbers and
    shows it. Without script the part stays hidden and says so.
"""

from __future__ import annotations

from mixwise.report.contents import Contents
from mixwise.report.explore import explorer_data, shown, starts
from mixwise.report.markup import Html, data_script, join, tag
from mixwise.report.numbers import number, share
from mixwise.report.tables import missing, table
from mixwise.study.results import SearchFound
from mixwise.study.surface import MetricSurface, SurfaceFound


def explorer(contents: Contents) -> Html:
    """Sliders for the shares, what is predicted of them, profiles and a triangle."""
    data = explorer_data(contents)
    surface, search = contents.surface, contents.search
    if data is None or surface is None or search is None:
        what = "There is nothing to try mixtures with yet."
        return missing(what, "mixwise search STUDY")
    return join(
        [
            tag("noscript", tag("p", "Trying mixtures needs JavaScript.", class_="missing")),
            tag(
                "div",
                tag("p", _words(surface, search)),
                tag(
                    "div",
                    _sliders(contents, search),
                    _forecast(contents, surface),
                    class_="explorer",
                ),
                _metric_table(contents, surface),
                _improve(surface),
                _shown_metric(surface),
                tag("div", _profiles(), _triangle(contents), class_="two"),
                id="explorer",
                hidden="",
            ),
            data_script("explorer-data", data),
        ]
    )


def _words(surface: SurfaceFound, search: SearchFound) -> str:
    words = (
        "Move the shares; the others keep their proportions, within the bounds"
        f"{' and limits' * bool(search.limits)}. Numbers come from a surrogate of the proxy "
        f"that was fitted to {len(surface.points)} scored mixtures, and are computed in this page."
    )
    if surface.error is None:
        return words
    return (
        f"{words} What it says of a scored mixture without having seen it misses the proxy's "
        f"objective by {number(surface.error)} (root mean square over mixtures of several domains)."
    )


def _sliders(contents: Contents, search: SearchFound) -> Html:
    options = [tag("option", name, value=str(k)) for k, (name, _) in enumerate(starts(contents))]
    choose = tag("select", *options, id="start", autocomplete="off")
    rows = [
        _slider(k, name, search.bounds[name], contents) for k, name in enumerate(contents.domains)
    ]
    note = "This mixture is outside of the bounds: it can be looked at, and is never recommended."
    return tag(
        "div",
        tag("div", tag("label", "Start from ", choose), class_="tools"),
        tag("ul", *rows, class_="sliders"),
        tag("p", note, class_="caption", id="outside", hidden=""),
    )


def _slider(k: int, name: str, bounds: tuple[float, float], contents: Contents) -> Html:
    found = contents.recommendation
    best = found.score.shares[name] if found else 0.0
    low, high = bounds
    allowed = f"{share(low)} to {share(high)}, recommended {share(best)}"
    lock = tag("input", type="checkbox", autocomplete="off", aria_label=f"keep the share of {name}")
    return tag(
        "li",
        tag("label", name, for_=f"share-{k}", title=allowed),
        tag("output", share(best), for_=f"share-{k}"),
        tag("label", lock, " keep", class_="lock"),
        tag(
            "input",
            type="range",
            id=f"share-{k}",
            min="0",
            max="1",
            step="0.001",
            value=repr(best),
            autocomplete="off",
        ),
        id=f"slider-{k}",
    )


def _forecast(contents: Contents, surface: SurfaceFound) -> Html:
    groups = dict.fromkeys(row.group for row in surface.metrics if row.group is not None)
    gains = [
        tag("p", f"Gain of the metric group {name}: ", tag("output", data_group=name))
        for name in groups
    ]
    return tag(
        "div",
        tag("p", "Objective that training should reach", class_="caption"),
        tag("p", tag("output", id="expected", class_="large", aria_live="polite")),
        tag("p", tag("output", id="expected-interval")),
        tag("p", "Against the recommended: ", tag("output", id="against")),
        tag("p", "By the proxy alone: ", tag("output", id="by-proxy")),
        *_less_prior(contents),
        *gains,
        tag("p", _INTERVAL, class_="caption"),
        tag("p", _NO_DEVIATIONS, class_="caption", id="no-deviations", hidden=""),
        class_="forecast",
    )


def _less_prior(contents: Contents) -> list[Html]:
    """The objective as mixtures are compared, where the search stays close to a prior."""
    found = contents.recommendation
    if found is None or found.prior is None:
        return []
    words = "Less what leaving the prior takes, as mixtures are compared: "
    return [tag("p", words, tag("output", id="compared"))]


_INTERVAL = (
    "The interval covers what the proxy may miss, the noise of the final runs and the surrogate's "
    "own error. Intervals of metrics below cover the surrogate's error alone: how far the proxy "
    "itself may be from what it predicts."
)
_NO_DEVIATIONS = (
    "The surrogate's posterior is left out of these intervals: for so many mixtures, domains and "
    "metrics this page would compute it for minutes. What counts here of the surrogate's error is "
    "what it missed of mixtures that it had not seen."
)


def _metric_table(contents: Contents, surface: SurfaceFound) -> Html:
    kept = shown(surface)
    rows = []
    for row in kept:
        facts = contents.metrics.get(row.metric)
        wish = tag(
            "input",
            type="number",
            min="0",
            step="any",
            autocomplete="off",
            aria_label=f"{row.metric}: at most so much worse",
        )
        unit = tag("span", facts.unit if facts else "")
        rows.append([_metric_name(row), "—", "—", "—", unit, wish])
    head = ["Metric, by the proxy", "Predicted", "Surrogate, 95 %", "Against the recommended"]
    content = table("Predicted metrics", [*head, "Unit", "At most worse by"], rows, row_id="metric")
    left_out = len(surface.metrics) - len(kept)
    if not left_out:
        return content
    note = f"{left_out} metrics outside of the objective are left out, to keep the page small."
    return join([content, tag("p", note, class_="caption")])


def _metric_name(row: MetricSurface) -> str:
    return f"{row.metric} ({'lower' if row.direction == 'min' else 'higher'} is better)"


def _improve(surface: SurfaceFound) -> Html:
    options = [tag("option", "the objective", value="")]
    options += [tag("option", row.metric, value=str(k)) for k, row in enumerate(shown(surface))]
    goal = tag("select", *options, id="goal", autocomplete="off")
    return tag(
        "div",
        tag("label", "Make ", goal, " as good as can be"),
        tag("span", "where metrics get worse by no more than the table's last column says"),
        tag("button", "Find the mixture", type="button", id="improve"),
        tag("span", role="status", id="improved", class_="caption"),
        class_="tools",
    )


def _shown_metric(surface: SurfaceFound) -> Html:
    options = [tag("option", "objective that training should reach", value="")]
    options += [tag("option", row.metric, value=str(k)) for k, row in enumerate(shown(surface))]
    chooser = tag("select", *options, id="shown-metric", autocomplete="off")
    return tag("div", tag("label", "Draw ", chooser), class_="tools")


def _profiles() -> Html:
    words = (
        "On the line of a domain its share goes from 0 to 100 % while the other domains keep their "
        "proportions to each other; dots mark your mixture."
    )
    drawn = tag("div", class_="plot", id="chart-profiles", data_label="A metric as shares change")
    return tag("div", tag("h3", "As each share changes"), tag("p", words, class_="caption"), drawn)


def _triangle(contents: Contents) -> Html:
    domains, found = contents.domains, contents.recommendation
    if len(domains) < 3 or found is None:
        return tag("div", class_="plot", id="ternary")
    shares = found.score.shares
    first = sorted(range(len(domains)), key=lambda k: -shares[domains[k]])[:3]
    lists = [
        tag(
            "label",
            f"{place} ",
            tag(
                "select",
                *(
                    tag("option", name, value=str(k), selected="" if k == chosen else None)
                    for k, name in enumerate(domains)
                ),
                id=f"corner-{number_of}",
                autocomplete="off",
            ),
        )
        for number_of, (place, chosen) in enumerate(
            zip(("Top", "Left", "Right"), first, strict=True)
        )
    ]
    return tag(
        "div",
        tag("h3", "Three domains"),
        tag("div", *lists, class_="tools"),
        tag("div", class_="plot", id="ternary"),
        tag("p", class_="caption", id="ternary-words"),
    )

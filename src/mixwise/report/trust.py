"""Parts of the page that say how far to trust the answer: trust, ranges, calibration, theory."""

from __future__ import annotations

from collections.abc import Mapping
from statistics import fmean

from mixwise.decision.score import OBJECTIVE
from mixwise.decision.trust import Trust
from mixwise.diagnostics.findings import Geometry
from mixwise.report.contents import Contents
from mixwise.report.markup import Html, join, prose, tag
from mixwise.report.numbers import NOTHING, brief, number, share, signed
from mixwise.report.tables import missing, mixture_bar, table
from mixwise.report.words import prediction_rows
from mixwise.study.results import (
    CalibrationFound,
    Diagnosis,
)

_MEANING: Mapping[str, str] = {
    "trust": "the order of the mixtures and their predicted scores can both be trusted",
    "trust the ranking only": "the order of the mixtures can be trusted, their predicted scores "
    "cannot",
    "do not trust": "the order of the mixtures cannot be trusted",
}
_MOST_COLUMNS = 10  # experts that have a column each in the table of cosines
_CLASSES: Mapping[str, str] = {"trust": "won", "do not trust": "lost"}


def trust_box(trust: Trust | None) -> Html:
    """How far the proxy may be trusted, why, and what would help."""
    if trust is None:
        return join([])
    parts = [tag("p", tag("strong", trust.word.capitalize()), f": {_meaning(trust)}.")]
    parts.append(_list("Why", trust.reasons))
    if trust.remedies:
        parts.append(_list("What helps", trust.remedies))
    return tag("div", *parts, class_=f"outcome trust {_CLASSES.get(trust.word, '')}".strip())


def _meaning(trust: Trust) -> str:
    if trust.basis == "predicted":
        return f"{_MEANING.get(trust.word, '')}, as predicted from the experts alone"
    unclear = "" if trust.is_clear else ", but there are too few to be certain"
    return f"{_MEANING.get(trust.word, '')}, as measured on trained references{unclear}"


def _list(title: str, sentences: tuple[str, ...]) -> Html:
    items = [tag("li", prose(f"{text[:1].upper()}{text[1:]}.")) for text in sentences]
    return join([tag("p", title, class_="caption"), tag("ul", *items)])


def share_ranges(contents: Contents) -> Html:
    """Of each domain, from which share to which nothing tells mixtures from the best."""
    found = contents.recommendation
    if found is None or not found.near_optimal_shares:
        return join([])
    best = found.score.shares
    rows = [
        [
            name,
            _range_bar(low, high, best.get(name, 0.0)),
            tag("span", f"{share(low)} to {share(high)}", class_="figure"),
        ]
        for name, (low, high) in found.near_optimal_shares.items()
    ]
    words = (
        "Mixtures within these ranges are predicted to be as good, as far as the noise and the "
        "trained references show; not every combination of them is. The line marks the recommended "
        "share."
    )
    return join(
        [
            tag("h3", "Shares that cannot be told from the best"),
            table("Ranges of shares", ["Domain", "From 0 to 100 %", "Range"], rows),
            tag("p", words, class_="caption"),
        ]
    )


def _range_bar(low: float, high: float, best: float) -> Html:
    return tag(
        "span",
        tag("i", style=f"left:{100 * low:.2f}%;width:{100 * (high - low):.2f}%"),
        tag("b", style=f"left:{100 * best:.2f}%"),
        class_="range",
        title=f"{share(low)} to {share(high)}, recommended {share(best)}",
    )


def calibration(contents: Contents) -> Html:
    """What was trained to learn what the proxy misses."""
    found = contents.calibration
    if found is None or not found.mixtures:
        return join([tag("p", prose(_without_calibration(contents))), prediction_table(contents)])
    return join(
        [
            tag("p", _words(found, contents)),
            calibration_table(found, contents.domains),
            prediction_table(contents),
        ]
    )


def prediction_table(contents: Contents) -> Html:
    """Both predictions of the recommended mixture, each with what its interval covers."""
    rows = [
        [name, value, between, tag("span", covers, class_="words")]
        for name, value, between, covers in prediction_rows(contents)
    ]
    if not rows:
        return join([])
    head = ["Score", "Objective", "95 %", "The interval covers"]
    return join(
        [
            tag("h3", "The recommended mixture's objective, and what each interval covers"),
            table("Predictions of the recommended mixture", head, rows, marked=0),
        ]
    )


def _without_calibration(contents: Contents) -> str:
    start = "No mixture was trained for calibration (`calibration.mixtures` in the recipe)"
    found = contents.recommendation
    if found and found.reference.n_references:
        return (
            f"{start}: the recommendation is the proxy's own. What a model trained on it should "
            "reach is learned from the validation's references."
        )
    return f"{start}: the recommendation is the proxy's own, as it is."


def _words(found: CalibrationFound, contents: Contents) -> str:
    n, n_seeds = len(found.mixtures), min(len(row.runs) for row in found.mixtures)
    n_others = len(contents.validation.mixtures) if contents.validation else 0
    others = f" and from the {n_others} references of the validation" if n_others else ""
    later = ", then what was expected to save the most regret" if n > 1 else ""
    return (
        f"Trained with {n_seeds} seed{'s' * (n_seeds != 1)} each: the middle of the space{later}. "
        f"What the proxy misses is learned from {'these' if n > 1 else 'this'}{others}, and the "
        "recommended mixture is chosen by the score so corrected. The noise of one run is "
        f"estimated as {number(found.noise)}."
    )


def calibration_table(found: CalibrationFound, domains: tuple[str, ...]) -> Html:
    """Each trained mixture: proxy, trained mean, what was missed, why it was chosen."""
    rows = []
    for row in found.mixtures:
        reached = row.reached(OBJECTIVE)
        missed = None if reached is None else reached - row.proxy.objective
        rows.append(
            [
                brief(row.proxy.shares),
                mixture_bar(row.proxy.shares, domains),
                signed(row.proxy.objective),
                signed(reached),
                signed(missed),
                tag("span", _reason(row.expected_gain)),
                tag("span", ", ".join(signed(run.objective) for run in row.runs) or NOTHING),
            ]
        )
    head = ["Mixture", "Shares", "Proxy", "Trained (mean)", "Missed", "Why trained", "By seed"]
    return table("Mixtures trained for calibration", head, rows)


def _reason(gain: float | None) -> str:
    return "first, the middle" if gain is None else f"expected gain {number(gain)}"


def diagnosis(contents: Contents) -> Html:
    """Size and angles of the task vectors, and what they predict of the proxy."""
    found = contents.diagnosis
    if found is None:
        return missing("The task vectors are not diagnosed yet.", "mixwise diagnose STUDY")
    judged = [tag("p", "On the proxy as it is, without calibration:"), trust_box(found.trust)]
    noted = [tag("p", found.left_out, class_="caption")]
    return join(
        [
            *(judged if found.trust else []),
            tag("h3", "Size of the task vectors, and cosines between them"),
            geometry_table(found),
            *(noted if found.left_out else []),
        ]
    )


def geometry_table(diagnosis: Diagnosis) -> Html:
    """One row per expert: size relative to the base, and cosine with the others.

    Of many experts only the others that are the most and the least alike are named, as a column
    for each would fit no screen and no paper.
    """
    found = diagnosis.geometry
    if len(found.domains) > _MOST_COLUMNS:
        return _nearest_table(found)
    rows_of = zip(found.domains, found.relative_sizes, found.cosines, strict=True)
    rows = [
        [name, f"{100 * size:.2f} %", *(number(cosine) for cosine in cosines)]
        for name, size, cosines in rows_of
    ]
    return table("Task vectors", ["Expert", "Size against the base", *found.domains], rows)


def _nearest_table(found: Geometry) -> Html:
    """One row per expert: its size, and the experts that its task vector is most and least like."""
    rows = []
    for k, name in enumerate(found.domains):
        others = sorted((c, other) for other, c in _cosines(found, k) if other != name)
        ends = [tag("span", f"{other} {number(c)}") for c, other in (others[-1], others[0])]
        mean = number(fmean(c for c, _ in others))
        rows.append([name, f"{100 * found.relative_sizes[k]:.2f} %", *ends, mean])
    head = ["Expert", "Size against the base", "Most alike", "Least alike", "Mean cosine"]
    note = "Every cosine is in diagnose.json."
    return join([table("Task vectors", head, rows), tag("p", note, class_="caption")])


def _cosines(found: Geometry, k: int) -> zip[tuple[str, float]]:
    return zip(found.domains, found.cosines[k], strict=True)

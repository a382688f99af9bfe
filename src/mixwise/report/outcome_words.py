"""Whether the recommendation won when it was really trained, and what it cannot be told from."""

from __future__ import annotations

from mixwise.decision.outcome import Margin, Outcome
from mixwise.report.contents import Contents
from mixwise.report.numbers import number
from mixwise.study.results import FinalFound


def outcome_words(final: FinalFound | None) -> str:
    """Say in one sentence whether the recommendation beat the baselines when really trained."""
    if final is None:
        return (
            "Not trained yet: the mixture below is what the proxy recommends; "
            "`mixwise train STUDY` trains it and its baselines for real."
        )
    outcome = final.outcome
    if not outcome.margins:
        return "Unknown: the recommended mixture was trained, but no baseline to compare it with."
    closest = min(outcome.margins, key=lambda margin: margin.margin)
    return _OUTCOMES.get(outcome.word, _unknown)(outcome, closest)


def _won(outcome: Outcome, closest: Margin) -> str:
    return (
        f"Won: trained for real, the recommended mixture beat {_all(len(outcome.margins))}; "
        f"the closest, {closest.baseline}, is {_apart(closest)} behind."
    )


def _tied(outcome: Outcome, closest: Margin) -> str:
    side = "behind" if closest.margin >= 0 else "ahead"
    return (
        f"Tied: trained for real, the best baseline, {closest.baseline}, is {_apart(closest)} "
        f"{side}, which is within the noise between seeds."
    )


def _lost(outcome: Outcome, closest: Margin) -> str:
    return (
        f"Lost: trained for real, the baseline {closest.baseline} is {_apart(closest)} ahead of "
        "the recommended mixture: train on that one, or look below at where the proxy errs."
    )


def _unknown(outcome: Outcome, closest: Margin) -> str:
    side = "behind" if closest.margin >= 0 else "ahead"
    return (
        f"Unknown: the best baseline, {closest.baseline}, is {_apart(closest)} {side}, but with "
        "one seed the noise is unknown: set `final.seeds` to 2 or more."
    )


_OUTCOMES = {"won": _won, "tied": _tied, "lost": _lost, "unknown": _unknown}


def _all(n: int) -> str:
    return "the one baseline" if n == 1 else f"all {n} baselines"


def _apart(margin: Margin) -> str:
    distance = number(abs(margin.margin))
    if margin.noise_widths is None:
        return distance
    return f"{distance} ({abs(margin.noise_widths):.1f} noise widths)"


def equals_words(contents: Contents) -> str:
    """Say which baselines cannot be told from the recommended mixture; empty where all can."""
    if contents.final:
        margins = contents.final.outcome.margins
        equal = [margin.baseline for margin in margins if margin.standing == "equal"]
        ahead = [margin.baseline for margin in margins if margin.standing == "ahead"]
        how = "trained for real, within one noise width"
    else:
        rows = contents.baselines
        equal = [row.answers.name for row in rows if row.standing == "equal"]
        ahead = [row.answers.name for row in rows if row.standing == "ahead"]
        how = "by its prediction"
    found = [
        f"{start} ({how}): {', '.join(names)}."
        for start, names in (
            ("Cannot be told apart from the recommended mixture", equal),
            ("Better than the recommended mixture", ahead),
        )
        if names
    ]
    return " ".join(found)

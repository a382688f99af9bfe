"""What the study answers: the recommendation, how far to trust it, and what training showed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mixwise.console.text import print_text

_BAR = 24
_LEAST_RANGE = 0.005  # shares that are known better than this are not worth a line
_STANDINGS = {
    "recommended": "the same mixture",
    "equal": "cannot be told apart",
    "ahead": "better than the recommended one",
}


def print_recommendation(content: Mapping[str, Any]) -> None:
    """Print the recommended mixture, how sure it is, and what training it showed."""
    print_text("\nRecommended mixture (shares by tokens)")
    for name, share in content["mixture"].items():
        print_text(f"  {name:<16}{share:6.3f}  {'█' * round(share * _BAR)}")
    print_text("")
    _print_expected(content["predicted"])
    _print_proxy(content["predicted"])
    _print_baselines(content["baselines"])
    _print_near_optimal(content)
    if content["fidelity"] is not None:
        print_fidelity(content["fidelity"])
    if content["fidelity_calibrated"] is not None:
        _print_calibrated(content["fidelity_calibrated"], content["fidelity"])
    if content["trust"] is not None:
        _print_trust_in_short(content["trust"])
    if content["verdict"] is not None:
        print_verdict(content["verdict"])


def _print_expected(predicted: Mapping[str, Any]) -> None:
    """Print what a trained model should reach, where some were trained to learn it from."""
    if predicted["reference"] is None:
        return
    low, high = predicted["reference_interval_95"]
    n = predicted["n_references"]
    print_text(
        f"A model trained on it should reach {predicted['reference']:.2f} (95 % {low:.2f} to "
        f"{high:.2f}), learned from {n} trained reference{'s' * (n != 1)}."
    )


def _print_proxy(predicted: Mapping[str, Any]) -> None:
    """Print the proxy's own score, and what its interval covers."""
    low, high = predicted["interval_95"]
    is_known = predicted["reference"] is not None
    unknown = "" if is_known else ", and no model was trained to learn it from"
    print_text(
        f"Objective by the proxy {predicted['objective']:.3f} (95 % {low:.3f} to {high:.3f} over "
        f"evaluation examples only: what merging misses is not in it{unknown})."
    )


def _print_baselines(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what each baseline should reach, or else its proxy score, and which are as good."""
    is_calibrated = all(row.get("reference") is not None for row in rows)
    key = "reference" if is_calibrated else "objective"
    shown = [f"{row['name']} {row[key]:.3f}{_standing(row)}" for row in rows]
    start = "Baselines should reach" if is_calibrated else "Baselines by the proxy"
    print_text(f"{start}: {', '.join(shown)}.")


def _standing(row: Mapping[str, Any]) -> str:
    words = _STANDINGS.get(row.get("standing", ""))
    return f" ({words})" if words else ""


def _print_near_optimal(content: Mapping[str, Any]) -> None:
    """Print what cannot be told from the best: scored mixtures, and ranges of predicted shares."""
    n = len(content["near_optimal"])
    print_text(f"{n} scored mixture{'s' * (n != 1)} cannot be told from the best.")
    ranges = content["near_optimal_shares"] or {}
    shown = [
        f"{name} {low:.2f} to {high:.2f}"
        for name, (low, high) in ranges.items()
        if high - low > _LEAST_RANGE
    ]
    if shown:
        print_text(f"Predicted mixtures that cannot be either have: {', '.join(shown)}.")


def print_fidelity(fidelity: Mapping[str, Any]) -> None:
    """Print how well the proxy ranked the references, and what it picked of them."""
    rho = fidelity["spearman"]
    if rho["value"] is None:
        print_text("Fidelity: undefined, the references do not differ.")
        return
    line = (
        f"Fidelity of the objective on {fidelity['n_mixtures']} references × "
        f"{fidelity['n_seeds']} seeds: Spearman ρ {_estimate(rho)}"
    )
    if fidelity["seed_spearman"] is not None:
        line += f"; one seed against another {fidelity['seed_spearman']:.2f}"
    if fidelity["ceiling"] is not None:
        line += f"; the noise allows {fidelity['ceiling']:.2f}"
    print_text(f"{line}; chance gives {_estimate(fidelity['chance']['spearman'])}.")
    print_text("  " + "; ".join(_picks(fidelity)) + ".")


def _print_calibrated(calibrated: Mapping[str, Any], plain: Mapping[str, Any]) -> None:
    """Print what calibration adds, each reference predicted from all the others."""
    print_text(
        f"Calibrated by the other references: Spearman ρ {_estimate(calibrated['spearman'])}; "
        f"mean absolute error {calibrated['mean_absolute_error']['value']:.2f}, of the proxy alone "
        f"{plain['mean_absolute_error']['value']:.2f}."
    )


def _picks(fidelity: Mapping[str, Any]) -> list[str]:
    """What is lost by the proxy's pick, and how it ranks the best quarter; chance beside each."""
    names = {"regret": "Regret of its pick", "top_quarter": "ρ among the best quarter"}
    return [
        f"{words} {_estimate(fidelity[name])}, by chance {_estimate(fidelity['chance'][name])}"
        if fidelity[name]["value"] is not None
        else f"{words} undefined for so few references"
        for name, words in names.items()
    ]


def _estimate(found: Mapping[str, float | None]) -> str:
    """A figure with its interval."""
    value, low, high = found["value"], found["low"], found["high"]
    if value is None:
        return "undefined"
    between = "" if low is None or high is None else f" (95 % {low:.2f} to {high:.2f})"
    return f"{value:.2f}{between}"


def _print_trust_in_short(trust: Mapping[str, Any]) -> None:
    """Print the verdict, the first reason, and the first thing that would help."""
    print_text(f"{_verdict(trust)}: {trust['reasons'][0]}.")
    for remedy in trust["remedies"][:1]:
        print_text(f"  What helps: {remedy}.")


def print_trust(trust: Mapping[str, Any]) -> None:
    """Print whether the proxy may be believed, why, and what would help."""
    print_text(f"\n{_verdict(trust)}.")
    for reason in trust["reasons"]:
        print_text(f"  Because: {reason}.")
    for remedy in trust["remedies"]:
        print_text(f"  What helps: {remedy}.")


def _verdict(trust: Mapping[str, Any]) -> str:
    unclear = "" if trust["is_clear"] else ", not certain"
    return f"Verdict: {trust['word'].upper()} ({trust['basis']}{unclear})"


def print_verdict(verdict: Mapping[str, Any]) -> None:
    """Print whether the recommendation won in real training."""
    words = {
        "won": "The recommendation WON in real training",
        "tied": "The recommendation could NOT be told from its best baseline in real training",
        "lost": "The recommendation LOST in real training",
        "unknown": "Whether the recommendation won is unknown (no baseline, or only one seed)",
    }
    print_text(
        f"{words[verdict['outcome']]}; margins in noise widths (one width: sd between seeds):"
    )
    for margin in verdict["margins"]:
        widths = margin["noise_widths"]
        shown = "?" if widths is None else f"{widths:+.1f}"
        print_text(
            f"  against {margin['baseline']:<20} {margin['margin']:+.3f}  {shown} widths"
            f"{_standing(margin)}"
        )


def print_scores(scores: list[dict[str, Any]]) -> None:
    """Print scored mixtures, one block each."""
    for score in scores:
        print_text(
            f"{_mixture(score['mixture'])}  ({score['answer']}"
            f"{', rule ' + score['rule'] if score['rule'] else ''})"
        )
        print_text(f"  objective {score['objective']:.4f}")
        slopes = score.get("slopes", {})
        for name, value in score["metrics"].items():
            print_text(f"  {name:<36} {value:.6f}{_slopes(score['mixture'], slopes.get(name))}")


def _slopes(mixture: Mapping[str, float], slopes: Sequence[float] | None) -> str:
    """Slopes beside a value: what the metric gains per unit of each share."""
    if slopes is None:
        return ""
    words = [f"{name} {slope:+.4f}" for name, slope in zip(mixture, slopes, strict=True)]
    return f"   per share: {', '.join(words)}"


def _mixture(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {share:.3g}" for name, share in shares.items() if share)

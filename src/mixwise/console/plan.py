"""What a recipe will cost."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.table import Table

from mixwise.console.lines import duration
from mixwise.console.text import print_table, print_text

if TYPE_CHECKING:
    from mixwise.study.plan import Plan


def print_plan(plan: Plan, warnings: tuple[str, ...], notes: tuple[str, ...] = ()) -> None:
    """Print what a recipe will cost."""
    table = Table(
        "domain",
        "documents",
        f"train {plan.unit}",
        "held out",
        "expert reads",
        "max share",
        "reads at max",
        title="Domains",
        title_justify="left",
    )
    for domain in plan.domains:
        table.add_row(
            domain.name,
            f"{domain.n_documents:,}",
            f"{domain.train_tokens:,}",
            f"{domain.heldout_tokens:,}",
            f"{domain.expert_repetition:.2f}×",
            f"{domain.max_share:.2f}",
            f"{domain.repetition_at_max:.2f}×",
        )
    costs = Table.grid(padding=(0, 2))
    for row in (
        *_prices(plan),
        (
            "candidates",
            f"at most {plan.n_candidates}, {_how_scored(plan)}{_at_points(plan)}",
        ),
        ("peak memory", f"{plan.memory_bytes / 1e9:.1f} GB"),
        *(
            [("peak memory of `diagnose`", f"{plan.diagnosis_bytes / 1e9:.1f} GB")]
            if plan.diagnosis_bytes > plan.memory_bytes
            else []
        ),
        ("disk", f"{plan.disk_bytes / 1e9:.2f} GB"),
        ("estimated time", duration(plan.seconds)),
    ):
        costs.add_row(*row)
    print_table(table)
    print_table(costs)
    for note in notes:
        print_text(f"note: {note}")
    for warning in warnings:
        print_text(f"warning: {warning}")
    print_text("The recipe is fine.")


def _prices(plan: Plan) -> Iterator[tuple[str, str]]:
    """What each stage trains, in tokens or examples and in final runs."""
    yield (
        "experts",
        f"{plan.n_experts} of {plan.expert_tokens:,} {plan.unit} ({_made_by(plan)}): "
        f"{plan.expert_price:.2f} final runs"
        + f"; {plan.n_kept} of another study are kept"
        * bool(plan.n_kept),
    )
    if plan.n_calibration:
        yield "calibration", f"{plan.n_calibration} of {plan.run_tokens:,} {plan.unit}"
    yield (
        "price of the answer",
        f"{plan.price:.2f} final runs before the final one (`budget` {plan.budget:g})",
    )
    yield "what it should buy", _worth(plan)
    yield (
        "final training",
        f"at most {plan.n_final} of {plan.run_tokens:,} {plan.unit} ({plan.run_steps:,} steps)"
        if plan.n_final
        else "none",
    )
    yield (
        "verification",
        f"{plan.n_references} references, and what is trained beside the recommendation: at most "
        f"{plan.n_verification} final runs in all"
        if plan.n_verification
        else "none (`--verify`): what the answer should reach is predicted, not checked",
    )
    yield f"{plan.unit} in all", f"{plan.trained_tokens:,}, {plan.n_workers} runs at once"


def _made_by(plan: Plan) -> str:
    steps = plan.expert_points[-1]
    if plan.expert_method == "training":
        return f"{steps:,} steps"
    return f"by gradients: one step along the mean of {steps:,} batches"


def _worth(plan: Plan) -> str:
    """What answers at this price have lost where every mixture was trained."""
    from mixwise.study.worth import BY_GRADIENTS, MEASURED, expected_worth

    if plan.expert_method == "gradients":
        beds = (f"{w.least:.0%} to {w.most:.0%} with {w.n_domains} domains" for w in BY_GRADIENTS)
        return (
            f"a mixture that lost {', '.join(beds)} of what a random one loses, on our benchmarks: "
            "small models, one bed each"
        )
    found, n_domains = expected_worth(plan.price), len(plan.domains)
    if found is None:
        least, most = MEASURED[0].price, MEASURED[-1].price
        return f"not measured: answers of {least:g} to {most:g} final runs were"
    share, low, high = (max(value, 0.0) for value in (found.share, found.low, found.high))
    return (
        f"a mixture that loses {share:.0%} ({low:.0%} to {high:.0%}) of what a random one loses, "
        "as on our benchmarks: small models, five domains"
        + (f" (here {n_domains}, whose experts are not as long)" if n_domains != 5 else "")
    )


def _how_scored(plan: Plan) -> str:
    tokens = f"{plan.evaluation_tokens:,} {plan.unit}"
    if plan.candidate_passes:
        return f"each merged and evaluated on {tokens}"
    return f"by the experts' predictions of {tokens}"


def _at_points(plan: Plan) -> str:
    if len(plan.expert_points) == 1:
        return ""
    steps = ", ".join(f"{steps:,}" for steps in plan.expert_points)
    return f", after {steps} steps of the experts"


def summarise_plan(plan: Plan) -> str:
    """What a job will do, in one line."""
    each = plan.expert_price / max(plan.n_experts, 1)
    return (
        f"{_several(plan.n_experts, 'expert')} of {each:.3g} final runs each, at most "
        f"{_several(plan.n_candidates, 'candidate')}, "
        f"{_several(plan.n_calibration + plan.n_references, 'reference')} and "
        f"{_several(plan.n_final, 'final run')}, {plan.n_workers} at once"
    )


def _several(n: int, word: str) -> str:
    return f"{n} {word}{'s' * (n != 1)}"

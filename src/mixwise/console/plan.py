"""What a recipe will cost."""

from __future__ import annotations

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
        "train tokens",
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
        (
            "training runs",
            f"{plan.n_runs}: {plan.n_experts} experts, {plan.n_references} references, "
            f"at most {plan.n_final} final, {plan.n_workers} at once",
        ),
        (
            "tokens per run",
            f"{plan.run_tokens:,} in {plan.run_steps:,} steps; {plan.trained_tokens:,} in all",
        ),
        (
            "merged candidates",
            f"at most {plan.n_candidates}, each evaluated on {plan.evaluation_tokens:,} tokens",
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


def summarise_plan(plan: Plan) -> str:
    """What a job will do, in one line."""
    return (
        f"{plan.n_experts} experts, at most {plan.n_candidates} candidates, {plan.n_references} "
        f"references and {plan.n_final} final runs, {plan.n_workers} at once"
    )

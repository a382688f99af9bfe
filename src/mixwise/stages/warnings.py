"""What a recipe may do but its user should know before it runs."""

from __future__ import annotations

from mixwise.evaluation.suite import explain_unshared
from mixwise.merging.checkpoint import Checkpoint
from mixwise.merging.live_model import LiveModel
from mixwise.merging.precision import measure_rounding_loss
from mixwise.plan import Plan
from mixwise.stages.inputs import Inputs

_MOST_NOISE = 0.05  # share of a task vector's energy: 0.22 of its length


def collect_warnings(live: LiveModel, inputs: Inputs, plan: Plan) -> list[str]:
    """One line for each thing to know.

    Args:
        live: The base model.
        inputs: The recipe's inputs.
        plan: What it will cost.
    """
    unshared = explain_unshared(inputs.suite, live.module)
    missing = [] if unshared is None else [unshared]
    return [*_data_warnings(inputs, plan), *_rounding_warnings(live, inputs), *missing]


def _data_warnings(inputs: Inputs, plan: Plan) -> list[str]:
    found = []
    recipe = inputs.recipe
    for name, kind in recipe.set_kinds.items():
        empty = inputs.corpus(name).facts.n_empty if kind == "text" else 0
        if empty:
            found.append(f"`{inputs.key(name)}`: {empty} empty document(s) are left out")
    for name in recipe.set_kinds:
        dropped = len(inputs.overlap(name)) if recipe.set_kinds[name] == "text" else 0
        if dropped:
            found.append(
                f"`{inputs.key(name)}`: {dropped} held-out text(s) that also stand in "
                "training rows are left out of the evaluation"
            )
    if recipe.run_tokens != recipe.horizon_tokens:
        found.append(
            f"`horizon_tokens`: {recipe.horizon_tokens:,} is no multiple of the batch "
            f"({recipe.batch_tokens:,} tokens): runs take {recipe.run_tokens:,}"
        )
    if recipe.validation.mixtures and recipe.validation.seeds == 1:
        found.append(
            "`validation.seeds`: with one seed the noise of a run is unknown and hides "
            "the fidelity of an averaged objective: use 2"
        )
    for domain in plan.domains:
        if domain.max_share < 1 and recipe.domains[domain.name].expert is None:
            found.append(f"`domains.{domain.name}`: its share is limited to {domain.max_share:.2f}")
    return found


def _rounding_warnings(live: LiveModel, inputs: Inputs) -> list[str]:
    """Experts of the user's whose precision has eaten too much of what they learned."""
    found = []
    for name in inputs.recipe.domains:
        expert = inputs.expert_checkpoint(name)
        if expert is None or expert.is_adapter or _is_float32(expert):
            continue
        loss = measure_rounding_loss(live, expert)
        if loss.noise_share > _MOST_NOISE:
            found.append(
                f"`domains.{name}.expert`: the precision in which {expert.folder} was saved has "
                f"eaten part of what it learned: some {loss.noise_share:.0%} of its task vector's "
                f"energy is rounding noise, and {loss.unmoved_share:.0%} of its entries did not "
                "move: save the optimiser's float32 master weights, save a LoRA adapter, or train "
                "longer"
            )
    return found


def _is_float32(checkpoint: Checkpoint) -> bool:
    return all(entry.dtype in ("F32", "F64") for entry in checkpoint.tensors.values())

"""What is allowed of the experts that a user brings, but should be known before they are merged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from mixwise.merging.fit.movement import Movement, measure_movement
from mixwise.merging.pool import compare_with_base
from mixwise.merging.task_vectors.rounding_loss import measure_rounding_loss
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.study.expert_training import training_differences
from mixwise.study.inputs import Inputs

_MOST_NOISE = 0.05  # share of a task vector's energy: 0.22 of its length
_MOST_UNMOVED = 0.5  # share of the matrices
_FARTHEST = 3.0  # ratio of two experts' ‖δ‖


def collect_expert_warnings(live: LiveModel, inputs: Inputs) -> list[str]:
    """One line for each thing to know of the experts that the user brings.

    Args:
        live: The base model.
        inputs: The recipe's inputs; its experts fit the base.
    """
    brought = {name: inputs.expert_checkpoint(name) for name in inputs.recipe.domains}
    experts = {name: checkpoint for name, checkpoint in brought.items() if checkpoint is not None}
    n_tokens = inputs.horizons.expert_steps * inputs.recipe.batch_tokens
    movements = {name: measure_movement(live, expert) for name, expert in experts.items()}
    given = {name: inputs.given_expert(name) or expert for name, expert in experts.items()}
    return [
        *_grouped({n: _asides(live, expert, given[n], inputs) for n, expert in experts.items()}),
        *_grouped({n: _unmoved(m) for n, m in movements.items() if not given[n].is_adapter}),
        *(line for n, expert in experts.items() for line in _rounding_loss(live, n, expert)),
        *_grouped(
            {
                n: training_differences(live, e, inputs.recipe, expert_tokens=n_tokens)
                for n, e in experts.items()
            },
            "a merge stands for a run only where its experts were trained as that run will be, so "
            "its scores may be off: train the experts alike, or set the recipe to how they were",
        ),
        *_distances(movements),
    ]


def _grouped(lines: Mapping[str, Iterable[str]], advice: str = "") -> list[str]:
    """Lines that hold for several experts, once."""
    by_line: dict[str, list[str]] = {}
    for name, found in lines.items():
        for line in found:
            by_line.setdefault(line, []).append(f"`domains.{name}.expert`")
    tail = f": {advice}" if advice else ""
    return [f"{', '.join(names)}: {line}{tail}" for line, names in by_line.items()]


def _asides(
    live: LiveModel, expert: Checkpoint, given: Checkpoint, inputs: Inputs
) -> Iterator[str]:
    found = compare_with_base(live, expert)
    if found:
        yield f"it differs from the base in what decides no score: {'; '.join(found)}"
    named = given.adapter_config.get("base_model_name_or_path")
    if named and not _names_base(str(named), inputs):
        yield (
            f"its adapter_config.json says that it was trained on `{named}`, but `base` is "
            f"`{inputs.recipe.base}`: make sure that they are the same model"
        )


def _names_base(named: str, inputs: Inputs) -> bool:
    """Whether a name is that of the base: its folder here or elsewhere, or its name on the hub."""
    folder, own = inputs.base_folder, inputs.recipe.base.partition("@")[0]
    if named == own or (Path(named).is_dir() and Path(named).resolve() == folder):
        return True
    if f"models--{named.replace('/', '--')}" in folder.parts:
        return True
    return Path(named).name in (folder.name, Path(own).name)


def _unmoved(movement: Movement) -> Iterator[str]:
    n, of = len(movement.unmoved), movement.n_matrices
    if n > _MOST_UNMOVED * of:
        yield (
            f"{n} of its {of} matrices are those of the base, the first `{movement.unmoved[0]}`: "
            "if more were trained, they were not saved, so save the expert again"
        )


def _rounding_loss(live: LiveModel, name: str, expert: Checkpoint) -> Iterator[str]:
    """An expert whose precision has lost too much of what it learned."""
    if expert.is_adapter or all(e.dtype in ("F32", "F64") for e in expert.tensors.values()):
        return
    loss = measure_rounding_loss(live, expert)
    if loss.noise_share > _MOST_NOISE:
        yield (
            f"`domains.{name}.expert`: the precision in which {expert.folder} was saved has "
            f"lost part of what it learned: some {loss.noise_share:.0%} of its task vector's "
            f"energy is rounding noise, and {loss.unmoved_share:.0%} of its entries did not "
            "move: save the optimiser's float32 master weights, save a LoRA adapter, or train "
            "longer"
        )


def _distances(movements: Mapping[str, Movement]) -> Iterator[str]:
    if len(movements) < 2:
        return
    near = min(movements, key=lambda name: movements[name].norm)
    far = max(movements, key=lambda name: movements[name].norm)
    ratio = movements[far].norm / movements[near].norm
    if ratio > _FARTHEST:
        yield (
            f"`domains.{far}.expert` moved {ratio:.1f} times as far from the base as "
            f"`domains.{near}.expert` (‖δ‖ {movements[far].norm:.3g} and "
            f"{movements[near].norm:.3g}), so it outweighs it at equal shares: train both for as "
            "many tokens at the same rate"
        )

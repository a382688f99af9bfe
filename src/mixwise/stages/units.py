"""Units: prunable and redundant units of the models of a study.

Method:
    One live model takes each model in turn. Its test inputs are the first held-out rows of every
    set; its predictions are the most likely next token at each position, or the most likely label
    of each example.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from mixwise.diagnostics.units.layers import (
    UnitLayer,
    find_classifier_layers,
    find_mlp_layers,
    find_named_layers,
    has_mlps,
)
from mixwise.diagnostics.units.silencing import (
    N_DRAWS,
    FrivolousUnits,
    measure_units,
)
from mixwise.errors import RecipeError, StudyError, nearest
from mixwise.merging.pool import write_checkpoint
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import Checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.scoring.worker.evaluator import open_pool
from mixwise.scoring.worker.running_statistics import write_merge
from mixwise.stages.unit_inputs import heldout_batches, predict_labels, predict_tokens
from mixwise.study.result_files import load_result
from mixwise.study.results import Recommendation
from mixwise.study.session import Workspace
from mixwise.study.workers import choose_own_device
from mixwise.training.job import RUN_FILE, load_record

if TYPE_CHECKING:
    from torch import Tensor, nn

N_SEQUENCES = 16
N_EXAMPLES = 256  # a classifier predicts once for each
_KINDS = ("base", "expert", "merge", "reference")


@dataclass(frozen=True, slots=True)
class UnitSettings:
    """How units are measured.

    Args:
        n_draws: Random orders in which units are silenced.
        seed: Of the draws.
        n_sequences: At most so many held-out sequences, or labelled examples, of each set; None for
            16 sequences, or 256 examples.
        pattern: Names of the modules that read the units; None finds the MLPs, and in a classifier
            without any the outputs of convolutions and linears.
    """

    n_draws: int = N_DRAWS
    seed: int = 0
    n_sequences: int | None = None
    pattern: str | None = None

    def __post_init__(self) -> None:
        for option, value in (("--draws", self.n_draws), ("--sequences", self.n_sequences)):
            if value is not None and value < 1:
                raise RecipeError(f"`{option}` must be at least 1, but got {value}: raise it")


@dataclass(frozen=True, slots=True)
class UnitsFound:
    """The frivolous units of some models, by their names."""

    models: tuple[tuple[str, FrivolousUnits], ...]
    seed: int

    def to_json(self) -> dict[str, Any]:
        """``models``, one object each, and ``seed``."""
        rows = [{"model": name} | as_json(units) for name, units in self.models]
        return {"models": rows, "seed": self.seed}


def measure_study_units(
    workspace: Workspace, names: Sequence[str], settings: UnitSettings
) -> UnitsFound:
    """Measure the units of models that a study holds.

    Args:
        workspace: The study.
        names: ``base``, ``expert:NAME``, ``merge:MIXTURE`` or ``reference:MIXTURE``; none for the
            base, all experts and the merge of the recommendation, if there is one.
        settings: Draws and inputs.

    Returns:
        One row per model; a reference has one per trained seed.

    Raises:
        RecipeError: If a name is none of these forms.
        StudyError: If the study does not hold such a model.
        EvaluationError: If the model's units cannot be found or measured.
    """
    task = workspace.recipe.task_facts
    subjects = [s for name in names or _usual(workspace) for s in _subjects(workspace, name)]
    recipe = workspace.recipe
    device = choose_own_device(recipe)
    precision = recipe.evaluation.precision
    live = LiveModel.load(
        workspace.inputs.base,
        precision=precision,
        rounding="stochastic" if precision == "bfloat16" else "nearest",
        device=device,
        trust_remote_code=workspace.inputs.settings.trust_remote_code,
        auto_class=task.auto_class,
    )
    n_rows = settings.n_sequences or (N_EXAMPLES if task.has_labels else N_SEQUENCES)
    batches = heldout_batches(workspace.inputs.suite, n_rows, device)
    if task.has_images:
        dtype = next(live.module.parameters()).dtype
        batches = [replace(batch, inputs=batch.inputs.to(dtype)) for batch in batches]
    example = batches[0].inputs if task.has_labels else None
    layers = find_layers(live.module, settings, example)
    found = []
    for subject in subjects:
        subject.write(workspace, live)
        units = measure_units(
            live.module,
            batches,
            layers,
            predict=predict_labels if task.has_labels else predict_tokens,
            n_draws=settings.n_draws,
            seed=settings.seed,
            on_progress=workspace.on_progress,
        )
        found.append((subject.name, units))
    return UnitsFound(tuple(found), settings.seed)


def as_json(units: FrivolousUnits) -> dict[str, Any]:
    """Units as JSON, with the figures that follow from them."""
    return {
        "prunable": asdict(units.prunable),
        "prunable_draws": list(units.prunable_draws),
        "redundant": units.redundant,
        "n_units": units.n_units,
        "n_predictions": units.n_predictions,
        "layers": [asdict(layer) for layer in units.layers],
        "agreement": [list(curve) for curve in units.agreement],
    }


@dataclass(frozen=True, slots=True)
class _Subject:
    """A model of the study: a checkpoint, or a mixture of which the experts are merged."""

    name: str
    model: Checkpoint | Mixture

    def write(self, workspace: Workspace, live: LiveModel) -> None:
        """Write it into the live model."""
        if isinstance(self.model, Checkpoint):
            write_checkpoint(live, self.model)
        else:
            pool = open_pool(live, workspace.merges)
            write_merge(pool, self.model, workspace.rule.bind(pool), workspace.statistics)


def _usual(workspace: Workspace) -> list[str]:
    names = ["base", *(f"expert:{name}" for name in workspace.recipe.domains)]
    recommendation = load_result(workspace.study, Recommendation)
    if recommendation:
        shares = recommendation.mixture.as_dict()
        names.append("merge:" + ",".join(f"{k}={v}" for k, v in shares.items() if v))
    return names


def _subjects(workspace: Workspace, name: str) -> Iterator[_Subject]:
    kind, _, rest = name.partition(":")
    domains = workspace.recipe.domain_names
    if kind not in _KINDS or bool(rest) == (kind == "base"):
        raise RecipeError(
            f"`--model {name}` must be `base`, `expert:NAME`, `merge:MIXTURE` or "
            "`reference:MIXTURE`: correct it"
        )
    if kind == "base":
        yield _Subject(name, workspace.inputs.base)
    elif kind == "expert":
        if rest not in domains:
            raise RecipeError(f"`--model {name}`: no such domain: {nearest(rest, domains)}")
        yield _Subject(name, workspace.runs.expert(rest))
    elif kind == "merge":
        yield _Subject(name, Mixture.parse(rest, domains))
    else:
        yield from _references(workspace, Mixture.parse(rest, domains))


def _references(workspace: Workspace, mixture: Mixture) -> list[_Subject]:
    """Every run of a mixture that the study holds, by its seed."""
    found = {}
    shares = workspace.inputs.token_mixture(mixture).as_dict()
    for file in sorted((workspace.study.folder / "references").glob(f"*/{RUN_FILE}")):
        record = load_record(file.parent)
        if record is None or record.shares != shares:
            continue
        job = workspace.runs.job(mixture, record.seed)
        if record.fingerprint == job.fingerprint:
            found[record.seed] = job
    if not found:
        raise StudyError(
            f"{workspace.study.folder}: no reference of `{mixture}` is trained with this recipe: "
            f"run `mixwise score {workspace.study.folder} --mixture {mixture} --answer reference`"
        )
    return [
        _Subject(
            f"reference:{mixture} (seed {seed})",
            workspace.runs.trained(found[seed], f"the run on `{mixture}`"),
        )
        for seed in sorted(found)
    ]


def find_layers(
    module: nn.Module, settings: UnitSettings, example: Tensor | None = None
) -> tuple[UnitLayer, ...]:
    """The layers that a pattern names, or the MLPs; of a classifier without any all layers.

    Args:
        module: The model.
        settings: The pattern.
        example: Inputs of a classifier; None of a language model, whose units are those of MLPs.

    Raises:
        EvaluationError: If there are none.
    """
    if settings.pattern is not None:
        return find_named_layers(module, settings.pattern)
    if example is not None and not has_mlps(module):
        return find_classifier_layers(module, lambda model: model(example[:1]))
    return find_mlp_layers(module)

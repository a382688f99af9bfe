"""How far experts and the final model are trained, and what a budget buys.

Notation:
    T, t: steps of the final run, and of an expert.  n: runs of t steps that are trained.
    B: budget, in final runs.

Method:
    Experts come first: t = B T / n, up to half of T, where continued merges rank as well as those
    of full experts do (``docs/science.md``). What is left pays for calibration runs of T steps, and
    at last for longer experts. What a recipe sets by hand is taken as it is.

    While the learning rate warms up over w steps, a run learns as much as in (w − 1) / 2 steps at
    the full rate: h steps count as h − (w + 1) / 2, and nothing is merged before h > w.

    Many domains leave each expert a few steps, most of them warm-up. Then the base is moved along
    each domain's gradient instead (`mixwise.training.gradients`), the mean of as many batches.
"""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.errors import RecipeError
from mixwise.merging.rules.extra_runs import extra_runs
from mixwise.recipe import Recipe
from mixwise.recipe.gradient_rules import gradient_problems
from mixwise.recipe.sections import Calibration, ExpertMethod

_LONG_ENOUGH = 0.5  # t / T from which a calibration run is worth more than longer experts
_MOST_CALIBRATION = 2  # mixtures that a budget buys by itself
_FEW_STEPS = 7  # up to which experts of many domains are made by gradients
_MANY_DOMAINS = 12


@dataclass(frozen=True, slots=True)
class Horizons:
    """Steps and runs of a study before its final run.

    Args:
        final_steps: T.
        points: Steps of the experts' runs at which they are merged, rising; the last is t.
        n_experts: Experts to train; those that the user brings, or that are kept from another
            study, are not counted.
        n_extras: Runs of t steps that the merge rule needs besides.
        n_calibration: Mixtures to train for calibration, T steps each, with every seed.
        calibration_seeds: Seeds of each.
        warmup_steps: Steps of every run before its learning rate is full.
        expert_method: Whether experts are trained, or the base is moved along a gradient that is
            the mean of as many batches as a trained one has steps.
        n_kept: Experts of another study that are gone on with, and not trained again.
    """

    final_steps: int
    points: tuple[int, ...]
    n_experts: int
    n_extras: int
    n_calibration: int
    calibration_seeds: int
    warmup_steps: int = 0
    expert_method: ExpertMethod = "training"
    n_kept: int = 0

    def effective(self, steps: int) -> float:
        """What some steps of a run count as at its full learning rate."""
        return steps - _lost_in_warmup(self.warmup_steps)

    @property
    def expert_steps(self) -> int:
        """Steps of an expert."""
        return self.points[-1]

    @property
    def price(self) -> float:
        """What is trained before the final run, in final runs."""
        short = (self.n_experts + self.n_extras) * self.expert_steps / self.final_steps
        return short + self.n_calibration * self.calibration_seeds


def plan_horizons(
    recipe: Recipe,
    brought_tokens: int | None = None,
    *,
    kept_steps: int = 0,
    n_kept: int = 0,
) -> Horizons:
    """Work out horizons and runs from the budget and from what the recipe sets by hand.

    Args:
        recipe: The recipe.
        brought_tokens: What the shortest expert has read, where all are brought and say so; else
            experts that are all brought are taken to be as long as the final run.
        kept_steps: Steps of experts of another study that are gone on with, which all others then
            have too; 0 where there are none.
        n_kept: How many these are; the budget does not pay for them.

    Raises:
        RecipeError: If the budget does not pay for one step of every expert, or experts by
            gradients would read as much as the final run.
    """
    final, calibration = recipe.n_steps, recipe.calibration
    n_extras = len(extra_runs(recipe.chosen_rule, recipe.domain_names))
    n_experts = sum(domain.expert is None for domain in recipe.domains.values())
    n_runs = n_experts - n_kept + n_extras
    wanted = kept_steps * recipe.batch_tokens or recipe.experts.horizon_tokens
    if wanted is None and not n_runs and brought_tokens is not None:
        wanted = min(max(brought_tokens, recipe.batch_tokens), final * recipe.batch_tokens)
    spent = spend_budget(
        recipe.budget,
        final,
        n_runs,
        None if wanted is None else wanted // recipe.batch_tokens,
        calibration,
        key="experts.horizon_tokens",
    )
    steps, n_calibration = spent.expert_steps, spent.n_calibration
    method: ExpertMethod = "training" if n_kept else _choose_method(recipe, steps)
    is_trained = n_runs and method == "training"
    if is_trained and steps < final and steps <= recipe.training.warmup_steps:
        raise RecipeError(_within_warmup(recipe, steps, n_runs))
    return Horizons(
        final,
        (steps,)
        if method == "gradients"
        else _points(steps, recipe, is_brought=n_experts < len(recipe.domains)),
        n_experts - n_kept,
        n_extras,
        n_calibration,
        calibration.seeds,
        recipe.training.warmup_steps,
        method,
        n_kept,
    )


def _choose_method(recipe: Recipe, steps: int) -> ExpertMethod:
    """How experts of so many steps are made."""
    wanted = recipe.experts.method
    if wanted == "gradients" and steps >= recipe.n_steps:
        raise RecipeError(
            f"`experts.method: gradients` stands for short runs, but experts would read {steps} "
            f"steps of the final run's {recipe.n_steps}: lower `budget` or "
            "`experts.horizon_tokens`, or set it to training"
        )
    if wanted != "auto":
        return wanted
    is_few = steps <= min(_FEW_STEPS, recipe.n_steps - 1)
    is_many = len(recipe.domains) >= _MANY_DOMAINS
    return "gradients" if is_few and is_many and not gradient_problems(recipe) else "training"


@dataclass(frozen=True, slots=True)
class Spending:
    """What a budget buys.

    Args:
        expert_steps: t.
        n_calibration: Mixtures that are trained for calibration.
    """

    expert_steps: int
    n_calibration: int


def spend_budget(
    budget: float,
    final_steps: int,
    n_runs: int,
    expert_steps: int | None,
    calibration: Calibration,
    *,
    key: str,
) -> Spending:
    """Share a budget out: experts first, calibration next, longer experts at last.

    Args:
        budget: B.
        final_steps: T.
        n_runs: n.
        expert_steps: t, where it is set by hand.
        calibration: What is set by hand of it.
        key: Key that sets t by hand, for the error's text.

    Raises:
        RecipeError: If the budget does not pay for one step of every expert.

    Example:
        >>> spend_budget(0.5, 1000, 4, None, Calibration(), key="experts.horizon_tokens")
        Spending(expert_steps=125, n_calibration=0)
    """
    final, n_calibration = final_steps, calibration.mixtures
    left = budget * final - (n_calibration or 0) * calibration.seeds * final
    if expert_steps is not None:
        steps = expert_steps
        left -= n_runs * steps
    elif not n_runs:
        steps = final
    else:
        steps = min(int(left / n_runs + 1e-9), max(int(_LONG_ENOUGH * final), 1))
        if steps < 1:
            raise RecipeError(_too_little(budget, final, n_runs, calibration, key))
        left -= n_runs * steps
    if n_calibration is None:
        n_calibration = min(
            max(int(left / (calibration.seeds * final) + 1e-9), 0), _MOST_CALIBRATION
        )
        left -= n_calibration * calibration.seeds * final
    if expert_steps is None and n_runs:
        steps = min(steps + max(int(left / n_runs + 1e-9), 0), final)
    return Spending(steps, n_calibration)


def _points(steps: int, recipe: Recipe, *, is_brought: bool) -> tuple[int, ...]:
    """The end of an expert's run, and halves of what it counts as where scores are continued.

    An expert that the user brings has an end alone.
    """
    if steps >= recipe.n_steps or is_brought or not recipe.proxy.continued:
        return (steps,)
    warmup = recipe.training.warmup_steps
    lost = _lost_in_warmup(warmup)
    halvings = range(recipe.experts.halvings + 1)
    halves = (int(lost + (steps - lost) / 2**k + 0.5) for k in halvings)
    return tuple(sorted({steps, *(half for half in halves if half > warmup)}))


def _lost_in_warmup(warmup_steps: int) -> float:
    """Steps at the full rate that a run is short of."""
    return (warmup_steps + 1) / 2 if warmup_steps else 0.0


def _within_warmup(recipe: Recipe, steps: int, n_runs: int) -> str:
    warmup = recipe.training.warmup_steps
    least = warmup + 1
    budget = n_runs * least / recipe.n_steps
    return (
        f"experts of {steps} steps end while their learning rate warms up "
        f"(`training.warmup_steps` is {warmup}): raise `budget` to {budget:.3g} or more, set "
        f"`experts.horizon_tokens` to {least * recipe.batch_tokens:,} or more, or make batches "
        "smaller or the warm-up shorter"
    )


def _too_little(
    budget: float, final_steps: int, n_runs: int, calibration: Calibration, key: str
) -> str:
    n_calibration = (calibration.mixtures or 0) * calibration.seeds
    needed = n_calibration + n_runs / final_steps
    besides = f" besides {n_calibration} calibration runs" if n_calibration else ""
    return (
        f"`budget` is {budget:g} final runs of {final_steps} steps, which does not pay "
        f"for one step of each of {n_runs} experts{besides}: raise it to {needed:.3g} or more "
        f"(experts of a few dozen steps say something), or set `{key}`"
    )

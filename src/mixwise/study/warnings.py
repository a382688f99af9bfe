"""What a recipe may do but its user should know before it runs."""

from __future__ import annotations

from mixwise.evaluation.suite import explain_unshared
from mixwise.kinds.lm_eval import LmEvalKeys
from mixwise.models.live_model import LiveModel
from mixwise.study.contamination import describe_leaks
from mixwise.study.expert_warnings import collect_expert_warnings
from mixwise.study.inputs import Inputs
from mixwise.study.plan import Plan

_REPEATED = 4.0  # readings of a text up to which it teaches like new
_MOST_UNEVEN = 2.0  # ratio of an expert's readings to the final run's
_MOST_NAMED = 12  # domains that have a line each
_EVEN = 1.25  # ratio of the learned parts of two domains up to which they count as alike


def collect_warnings(live: LiveModel, inputs: Inputs, plan: Plan) -> list[str]:
    """One line for each thing to know.

    Args:
        live: The base model.
        inputs: The recipe's inputs.
        plan: What it will cost.
    """
    unshared = explain_unshared(inputs.suite, live.module)
    missing = [] if unshared is None else [unshared]
    return [
        *_data_warnings(inputs, plan),
        *_leaks(inputs),
        *_searched_tests(inputs),
        *collect_expert_warnings(live, inputs),
        *missing,
    ]


def _leaks(inputs: Inputs) -> list[str]:
    """Evaluation sets of which rows stand in training data."""
    settings, folder = inputs.recipe.contamination, inputs.settings.recipe_folder
    remedy = {
        "warn": "what it measures is memory in part: `contamination.action: drop` leaves them out",
        "drop": "they are left out of the evaluation",
    }
    kept = "they stay, as the task is measured whole: remove them from the training data"
    return [
        f"{describe_leaks(inputs.key(name), found, settings, folder)}; "
        f"{remedy[settings.action] if inputs.reads_records(name) else kept}"
        for name, found in inputs.leaks.items()
        if found.leaks
    ]


def _searched_tests(inputs: Inputs) -> list[str]:
    """Tasks that are searched on, of which no half is kept to report on."""
    sets = inputs.recipe.evaluation.sets
    tasks = {name: each.own for name, each in sets.items() if isinstance(each.own, LmEvalKeys)}
    kept = {keys.task for keys in tasks.values() if keys.documents == "report"}
    searched = {term.metric.set_name for term in inputs.recipe.objective_terms.terms}
    return [
        f"`{inputs.key(name)}`: the search maximises on test documents of `{keys.task}`, so that "
        "what is reached there says too much: keep half of them for the report, by `documents: "
        f"search` here and another set with `documents: report`"
        for name, keys in tasks.items()
        if name in searched and keys.documents != "report"
        if keys.task not in kept or keys.documents == "all"
    ]


def _uneven_supervision(inputs: Inputs) -> list[str]:
    """Domains of which an equal share does not bring equally many learned tokens.

    A trainer takes the mean over learned tokens, so that a domain with few of them weighs less in
    training than its share says, and less than in a merge.
    """
    learned, units = inputs.available_by_unit["supervised_tokens"], inputs.available
    parts = {name: learned[name] / max(units[name], 1) for name in learned}
    least, most = min(parts, key=lambda name: parts[name]), max(parts, key=lambda name: parts[name])
    if parts[most] <= _EVEN * parts[least]:
        return []
    if inputs.recipe.shares_by == "rows":
        return [
            f"`shares_by: rows`: a row of `{most}` has {parts[most]:.0f} learned tokens on "
            f"average, but one of `{least}` only {parts[least]:.0f}: a share of rows weighs less "
            "in training where less is learned, which merging knows nothing of; trust the proxy "
            "by its references alone"
        ]
    return [
        f"`domains`: {100 * parts[most]:.0f} % of the tokens of `{most}` are learned, but only "
        f"{100 * parts[least]:.0f} % of `{least}`: a share of tokens weighs less in training where "
        "less is learned, which merging knows nothing of; trust the proxy by its references alone"
    ]


def _other_schedules(inputs: Inputs, plan: Plan) -> list[str]:
    """Schedules of the learning rate under which continuing rests on less."""
    recipe, found = inputs.recipe, []
    if len(plan.expert_points) > 1 and recipe.experts.schedule != "constant":
        found.append(
            f"`experts.schedule` is {recipe.experts.schedule}: points along such a run are not the "
            "ends of shorter ones, so that continued scores are off: use constant, or set "
            "`proxy.continued: false`"
        )
    if plan.expert_price and recipe.training.schedule != recipe.experts.schedule:
        found.append(
            f"`training.schedule` is {recipe.training.schedule}, but experts train at a "
            f"{recipe.experts.schedule} rate (`experts.schedule`): what the final run's schedule "
            "adds is not predicted, and was not measured"
        )
    return found


def _uneven_repetition(inputs: Inputs, plan: Plan) -> list[str]:
    """Domains that an expert repeats far more often than the final run will, or far less.

    The final run reads a domain at its share of the uniform mixture, or at its largest where that
    is less.
    """
    found = []
    for domain in plan.domains:
        own, final = domain.expert_repetition, domain.repetition_when_even
        most, least = max(own, final), min(own, final)
        is_trained = inputs.recipe.domains[domain.name].expert is None
        if is_trained and most > _REPEATED and most > _MOST_UNEVEN * least:
            found.append(
                f"`domains.{domain.name}`: its expert reads its text {own:.1f} times, the final "
                f"run {final:.1f} times at an even share: a text that is repeated teaches less, so "
                "its score is off; change `experts.horizon_tokens`, or add data"
            )
    return found


def _limited_shares(inputs: Inputs, plan: Plan) -> list[str]:
    """Domains whose shares have a limit; of many the narrowest alone, as the plan has them all.

    A share that the recipe fixes is no news.
    """
    recipe, fixed = inputs.recipe, inputs.space.fixed_by
    limited = [
        domain
        for domain in plan.domains
        if domain.max_share < 1
        and domain.name not in fixed
        and recipe.domains[domain.name].expert is None
    ]
    if len(limited) <= _MOST_NAMED:
        return [f"`domains.{d.name}`: its share is limited to {d.max_share:.2f}" for d in limited]
    least = min(limited, key=lambda domain: domain.max_share)
    return [
        f"the shares of {len(limited)} domains are limited, that of `{least.name}` most: to "
        f"{least.max_share:.2f} (`max share` of the plan has all)"
    ]


def _data_warnings(inputs: Inputs, plan: Plan) -> list[str]:
    found = []
    recipe = inputs.recipe
    for name in recipe.tokenised_sets:
        corpus = inputs.corpus(name)
        empty, cut = corpus.facts.n_empty, corpus.n_cut(recipe.sequence_length)
        if empty:
            found.append(f"`{inputs.key(name)}`: {empty} empty document(s) are left out")
        if cut:
            found.append(
                f"`{inputs.key(name)}`: {cut} of {corpus.facts.n_heldout_documents} held-out "
                f"record(s) have more than {recipe.sequence_length:,} tokens, and are measured "
                "without their beginning: raise `sequence_length` to measure them whole"
            )
    found += _uneven_supervision(inputs)
    for name in recipe.tokenised_sets:
        dropped = len(inputs.overlap(name))
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
    found += _other_schedules(inputs, plan)
    found += _uneven_repetition(inputs, plan)
    found += _limited_shares(inputs, plan)
    return found

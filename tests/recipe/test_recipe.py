from typing import Any

import pytest
from tests.recipe.minimal import domains, recipe, refuse

from mixwise.errors import RecipeError
from mixwise.kinds import LOSS
from mixwise.mixture import Mixture
from mixwise.objective import Metric, Term
from mixwise.recipe import hash_section

TWO_GROUPS = [
    {"set": "math", "measure": "loss", "group": "formal"},
    {"set": "code", "measure": "loss", "group": "french"},
]


def test_the_smallest_recipe_has_these_defaults() -> None:
    small = recipe()
    assert small.domain_names == ("math", "code")
    assert small.domains["math"].files == ("math.jsonl",)
    assert small.domains["math"].field == "text"
    assert small.sequence_length == 1024
    assert (small.heldout.fraction, small.heldout.overlap) == (0.1, "refuse")
    assert (small.training.method, small.training.learning_rate) == ("full", 1e-4)
    assert (small.search.method, small.search.budget, small.search.max_repetition) == (
        "auto",
        None,
        4.0,
    )
    assert (small.budget, small.verify, small.calibration.mixtures) == (0.25, False, None)
    assert (small.validation.mixtures, small.final.baselines, small.final.seeds) == (0, (), 1)
    assert (small.engine.workers, small.engine.threads) == ("auto", "auto")


def test_verification_fills_in_what_the_recipe_leaves_open() -> None:
    verified = recipe(verify=True, validation={"seeds": 3})
    assert (verified.validation.mixtures, verified.validation.seeds) == (12, 3)
    assert verified.final.baselines == ("uniform", "available", "single")
    assert verified.final.seeds == 2
    with pytest.raises(RecipeError, match="valid boolean"):
        recipe(verify="true")  # it would be taken for True and fill in nothing
    assert recipe(verify=True, final={"baselines": ["uniform"]}).final.baselines == ("uniform",)


def test_a_run_is_cut_to_whole_batches() -> None:
    cut = recipe(horizon_tokens=1000, sequence_length=16, training={"batch_sequences": 4})
    assert (cut.batch_tokens, cut.n_steps, cut.run_tokens) == (64, 15, 960)


def test_a_horizon_of_one_batch_is_enough() -> None:
    assert recipe(horizon_tokens=16 * 1024).n_steps == 1


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        (
            {"domains": {"math": {"files": "m"}}},
            "`domains`: a mixture needs at least 2 domains, but got 1: add another",
        ),
        (
            {"domains": {"a b": {"files": "m"}, "c": {"files": "c"}}},
            "`domains.a b`: a name must consist of .*: rename it",
        ),
        (
            {"domains": {"a=": {"files": "m"}, "c": {"files": "c"}}},
            "`domains.a=`: a name must consist of",
        ),
        (
            {"domains": {".hidden": {"files": "m"}, "c": {"files": "c"}}},
            "`domains..hidden`: a name must .* begin with a letter or digit",
        ),
        (
            {"domains": {"A": {"files": "m"}, "a": {"files": "c"}}},
            "`a`: domains and evaluation sets need different names, but `A` exists .*: rename one",
        ),
        (
            {"evaluation": {"sets": {"Math": {"files": "m"}}}},
            "`Math`: domains and evaluation sets need different names, but `math` exists",
        ),
        (
            {"evaluation": {"sets": {"a/b": {"files": "m"}}}},
            "`evaluation.sets.a/b`: a name must consist of",
        ),
        (
            {"search": {"bounds": {"maths": {"max_share": 0.5}}}},
            "`search.bounds.maths`: not a domain: did you mean `math`",
        ),
        (
            {"horizon_tokens": 100},
            "`horizon_tokens` must hold at least one batch of 16384 tokens .* but got 100: raise",
        ),
        (
            {"training": {"batch_sequences": 16, "gradient_accumulation_steps": 3}},
            "`training`: `batch_sequences` must be a multiple .* 16 is not a multiple of 3: use 18",
        ),
        (
            {"training": {"batch_sequences": 2, "processes_per_run": 4}},
            "2 is not a multiple of 4: use 4",
        ),
        (
            {"domains": domains(files="x", hub={"dataset": "d"})},
            "`domains.code`: needs either `files` .* or `hub`, and not both",
        ),
        ({"domains": domains(field="x")}, "`domains.code`: needs either `files`"),
        ({"domains": domains(files=[])}, "`domains.code`: needs either `files`"),
        (
            {"objective": {"metrics": [{"set": "mat", "measure": "loss"}]}},
            "`objective.metrics.0`: `mat` is neither a domain nor .*: did you mean `math`",
        ),
        (
            {"search": {"method": "latice"}},
            "`search.method`: `latice` is not a search method: did you mean `lattice`",
        ),
        (
            {"merge": {"rule": "tis"}},
            "`merge.rule`: `tis` is not a merge rule: did you mean",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "los"}]}},
            "`objective.metrics.0`: `los` cannot be measured on the text set",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "accuracy"}]}},
            "`objective.metrics.0`: `accuracy` cannot be measured on the text set `math`: "
            "valid are: `bits_per_byte`, `loss`",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "loss"}] * 2}},
            "`objective.metrics.1`: `math/loss` stands twice: keep one",
        ),
        (
            {"objective": {"floors": [{"set": "math", "measure": "los"}]}},
            "`objective.floors.0`: `los` cannot be measured on the text set `math`",
        ),
        (
            {"objective": {"floors": [{"set": "math", "measure": "loss"}] * 2}},
            "`objective.floors.1`: `math/loss` stands twice: keep one",
        ),
        (
            {
                "objective": {"floors": [{"set": "math", "measure": "loss"}]},
                "search": {"method": "demix"},
            },
            "`objective.floors`: `search.method: demix` ranks mixtures without them",
        ),
        (
            {"objective": {"metrics": TWO_GROUPS, "front": ["formal", "prose"]}},
            "`objective`: `front`: `prose` is no group of metrics: valid are: `formal`, `french`",
        ),
        (
            {"objective": {"front": ["formal", "french"]}},
            "`front`: `formal` is no group of metrics: give metrics a `group`",
        ),
        (
            {"objective": {"metrics": TWO_GROUPS, "front": ["formal"]}},
            "`front` must name two or three different groups, but got formal",
        ),
        (
            {"objective": {"metrics": TWO_GROUPS, "front": ["formal", "formal"]}},
            "`front` must name two or three different groups, but got formal, formal",
        ),
        (
            {
                "objective": {"metrics": TWO_GROUPS, "front": ["formal", "french"]},
                "search": {"method": "subsets-race"},
            },
            "`objective.front`: `search.method: subsets-race` drops mixtures that are good for one",
        ),
        (
            {"objective": {"metrics": [{"set": "math", "measure": "loss", "weight": 0}]}},
            "`objective.metrics.0.weight`: .*greater than 0",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused_with_a_fix(
    changes: dict[str, Any], rule: str
) -> None:
    refuse(f"^r.yaml: {rule}|^r.yaml: .*{rule}", **changes)


def test_every_set_has_every_measure_of_its_kind() -> None:
    chosen = recipe(evaluation={"sets": {"quiz": {"files": "q", "kind": "choice"}}})
    assert chosen.set_kinds == {"math": "text", "code": "text", "quiz": "choice"}
    assert [metric.name for metric in chosen.metrics] == [
        "math/loss",
        "math/bits_per_byte",
        "code/loss",
        "code/bits_per_byte",
        "quiz/accuracy",
        "quiz/accuracy_norm",
        "quiz/answer_bits_per_byte",
    ]


def test_the_objective_is_by_default_the_mean_loss_of_all_domains() -> None:
    objective = recipe().objective_terms
    assert objective.aggregation == "mean"
    assert objective.terms == (
        Term(Metric.of("math", LOSS), 1.0),
        Term(Metric.of("code", LOSS), 1.0),
    )


def test_a_direction_of_the_objective_turns_that_metric_alone() -> None:
    turned = recipe(
        objective={
            "metrics": [{"set": "math", "measure": "loss", "direction": "max", "weight": 2}],
            "aggregation": "worst",
        }
    )
    assert turned.objective_terms.terms == (Term(Metric.of("math", LOSS, "max"), 2.0),)
    assert turned.objective_terms.aggregation == "worst"
    assert [m.direction for m in turned.metrics] == ["max", "min", "min", "min"]


def test_the_space_is_cut_by_bounds_and_repetition() -> None:
    chosen = recipe(
        horizon_tokens=1600 * 1024,
        search={
            "max_repetition": 2,
            "bounds": {"math": {"min_share": 0.1, "max_share": 0.9}},
        },
    )
    assert chosen.run_tokens == 1600 * 1024
    space = chosen.space({"math": 640 * 1024, "code": 10**9})
    assert space.domains == ("math", "code")
    assert space.lower == (0.1, 0.0)
    assert space.upper == (pytest.approx(0.8), 1.0)


def test_a_bound_below_the_cap_stands() -> None:
    chosen = recipe(search={"bounds": {"math": {"max_share": 0.3}}})
    assert chosen.space({"math": 10**9, "code": 10**9}).upper == (0.3, 1.0)


def test_a_domain_without_bounds_may_take_all() -> None:
    space = recipe().space({"math": 10**9, "code": 10**9})
    assert space.contains(Mixture.single(space.domains, "code"))


def test_too_little_data_for_any_mixture_is_told() -> None:
    with pytest.raises(RecipeError, match="`max_share` of the domains must add up to at least 1"):
        recipe().space({"math": 1000, "code": 1000})


def test_a_minimum_that_the_data_cannot_fill_is_told() -> None:
    chosen = recipe(search={"bounds": {"math": {"min_share": 0.5}}})
    with pytest.raises(RecipeError, match=r"bounds of `math` .* repetition limit lowers max_share"):
        chosen.space({"math": 1000, "code": 10**9})


def test_a_minimum_above_the_maximum_is_told() -> None:
    with pytest.raises(RecipeError, match=r"`min_share` \(0.5\) must not exceed `max_share` \(0.2"):
        recipe(search={"bounds": {"math": {"min_share": 0.5, "max_share": 0.2}}})


def test_equal_sections_hash_alike_and_any_change_shows() -> None:
    first, same, other = (recipe(training={"seed": seed}).training for seed in (1, 1, 2))
    assert hash_section(first) == hash_section(same)
    assert hash_section(first) != hash_section(other)


def test_the_hash_knows_where_one_part_ends() -> None:
    assert hash_section("ab", "c") != hash_section("a", "bc")
    assert hash_section("a") != hash_section("a", "")


def test_metrics_of_a_group_count_as_one() -> None:
    sets = {name: {"files": name} for name in ("a", "b")}
    metrics = [
        {"set": "a", "measure": "loss", "group": "texts"},
        {"set": "b", "measure": "loss", "group": "texts", "weight": 3},
        {"set": "math", "measure": "loss"},
    ]
    chosen = recipe(evaluation={"sets": sets}, objective={"metrics": metrics})
    assert [term.weight for term in chosen.objective_terms.terms] == [0.25, 0.75, 1.0]
    assert [term.group for term in chosen.objective_terms.terms] == ["texts", "texts", None]


def test_floors_are_those_of_the_recipe() -> None:
    floor = {"set": "code", "measure": "bits_per_byte", "margin": 0.25}
    [found] = recipe(objective={"floors": [floor]}).objective_terms.floors
    assert (found.metric.name, found.value, found.margin) == ("code/bits_per_byte", None, 0.25)

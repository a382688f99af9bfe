import numpy as np
import pytest
from tests.problem.toys import ACCURACY, ASKED, DOMAINS, LOSS, toy

from mixwise.api import ProblemStudy
from mixwise.errors import RecipeError
from mixwise.objective import Metric
from mixwise.problem.problem import Problem
from mixwise.problem.question import ProblemQuestion
from mixwise.problem.settings import parse_settings


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"name": "a/b"}, "`name` must consist of"),
        ({"domains": {"left": 3}}, "at least 2 domains, but got 1"),
        ({"domains": {"left": 3, "LEFT": 3}}, "more than upper and lower case"),
        ({"domains": {"left": 3, "right": 0}}, "`domains.right` must be the number"),
        ({"domains": {"left": 3, "right": True}}, "`domains.right` must be the number"),
        ({"metrics": ()}, "name at least one `Metric`"),
        ({"metrics": (LOSS, LOSS)}, "`target/loss` stands twice"),
        ({"metrics": (Metric("a/b", "loss", "min"),)}, "`a/b` of `a/b/loss` must consist"),
        ({"train": "no function"}, "`train`: must be a function"),
        ({"log_likelihoods": "target/loss"}, "write a tuple or list"),
        ({"log_likelihoods": ("target/los",)}, "is no metric: did you mean `target/loss`"),
        ({"log_likelihoods": ("target/accuracy",)}, "its direction must be `min`"),
        (
            {
                "metrics": (LOSS, Metric("target", "other", "min")),
                "log_likelihoods": ("target/loss", "target/other"),
            },
            "set `target` has two of them",
        ),
    ],
)
def test_a_problem_that_does_not_fit_together_is_refused_by_name(
    changes: dict[str, object], match: str
) -> None:
    with pytest.raises(RecipeError, match=match):
        toy(**changes)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"horizon_tokens": 10}, "`horizon_tokens`: unknown key: did you mean `horizon_examples`"),
        ({"objective": {}}, "has several metrics: name what is maximised"),
        (
            {"objective": {"metrics": [{"set": "target", "measure": "los"}]}},
            "`target/los` is no metric of the problem: did you mean `target/loss`",
        ),
        (
            {"objective": ASKED["objective"] | {"floors": [{"set": "dev", "measure": "loss"}]}},
            "`objective.floors.0`: `dev/loss` is no metric",
        ),
        ({"search": {"bounds": {"lef": {}}}}, "`search.bounds.lef`: not a domain"),
        ({"search": {"method": "subsets-race"}}, "measures models part by part"),
        ({"merge": {"rule": "trajectory"}}, "needs trajectories of the runs"),
        ({"proxy": {"answer": "predictions"}}, "needs `log_likelihoods` of the problem"),
        (
            {"proxy": {"answer": "predictions"}, "merge": {"rule": "centre"}},
            "the merge rule `centre` has no effect",
        ),
        ({"validation": {"mixtures": 2}}, "must be 0 or at least 4"),
        ({"experts": {"horizon_examples": 1000}}, "must not exceed `horizon_examples`"),
    ],
)
def test_settings_that_cannot_be_are_refused_by_key(
    settings: dict[str, object], match: str
) -> None:
    with pytest.raises(RecipeError, match=match):
        ProblemQuestion(toy(), parse_settings(ASKED | settings, "settings"))


def test_settings_that_are_no_mapping_are_refused() -> None:
    with pytest.raises(RecipeError, match=r"must be a mapping of keys, but are recipe\.yaml"):
        parse_settings("recipe.yaml", "settings")  # type: ignore[arg-type]


def test_the_only_metric_is_the_objective() -> None:
    question = ProblemQuestion(
        toy(metrics=(LOSS,)), parse_settings({"horizon_examples": 100}, "settings")
    )
    assert [metric.name for metric in question.objective_terms.metrics] == ["target/loss"]


def test_a_direction_of_the_objective_turns_the_metric() -> None:
    chosen = [{"set": "target", "measure": "accuracy", "direction": "min"}]
    settings = parse_settings(ASKED | {"objective": {"metrics": chosen}}, "settings")
    turned = {metric.name: metric for metric in ProblemQuestion(toy(), settings).metrics}
    assert turned["target/accuracy"].sign == -1
    assert not turned["target/accuracy"].is_differentiable


def test_the_budget_pays_for_short_experts_first() -> None:
    question = ProblemQuestion(toy(), parse_settings(ASKED, "settings"))
    assert question.horizons.points == (66,)  # 0.5 · 400 / 3
    assert question.horizons.n_calibration == 0
    with pytest.raises(RecipeError, match=r"or set `experts\.horizon_examples`"):
        _ = ProblemQuestion(toy(), parse_settings(ASKED | {"budget": 0.001}, "settings")).horizons


def test_shares_are_capped_by_what_a_domain_has() -> None:
    settings = parse_settings(ASKED | {"search": {"max_repetition": 3}}, "settings")
    assert ProblemQuestion(toy(), settings).space.upper == (0.45,) * 3  # 3 · 60 / 400


def test_the_public_names_are_there() -> None:
    import mixwise

    assert (mixwise.Problem, mixwise.ProblemStudy) == (Problem, ProblemStudy)
    assert list(toy().domains) == list(DOMAINS)
    assert toy().metrics == (LOSS, ACCURACY)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"metrics": LOSS}, "`metrics` must be a tuple or list of `Metric`, but got Metric"),
        ({"metrics": ("target/loss",)}, "`metrics` must be a tuple or list of `Metric`, but got"),
        ({"domains": ["left", "right"]}, "`domains` must be numbers of training examples by name"),
    ],
)
def test_parts_of_another_kind_are_refused(changes: dict[str, object], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        toy(**changes)


def test_counts_of_numpy_are_numbers_and_the_callers_dict_may_change() -> None:
    domains = {"left": np.int64(3), "right": 4}
    problem = toy(domains=domains)
    domains["left"] = 5
    assert problem.domains == {"left": 3, "right": 4}
    assert type(problem.domains["left"]) is int

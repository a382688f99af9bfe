from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from mixwise.errors import RecipeError
from mixwise.recipe import Recipe
from mixwise.recipe.gradient_rules import gradient_problems
from mixwise.recipe.parsing import add_domains


def recipe(**changes: Any) -> Recipe:
    values: dict[str, Any] = {
        "base": "b",
        "domains": {"a": {"files": "a"}, "b": {"files": "b"}},
        "horizon_tokens": 10**6,
        "experts": {"method": "gradients"},
    }
    return Recipe.model_validate(values | changes)


def test_a_plain_recipe_has_nothing_against_gradients() -> None:
    assert gradient_problems(recipe()) == []


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"training": {"method": "lora"}}, "`training.method` is lora"),
        ({"training": {"optimizer": "sgd"}}, "`training.optimizer` is sgd"),
        ({"training": {"processes_per_run": 2}}, "`training.processes_per_run` is more than 1"),
        ({"training": {"trajectory_checkpoints": 1}}, "`training.trajectory_checkpoints`"),
        ({"proxy": {"answer": "both"}}, "`proxy.answer` is both"),
        ({"proxy": {"continued": False}}, "`proxy.continued` is false"),
        ({"merge": {"rule": "ties"}}, "`merge.rule` is ties"),
        ({"final": {"start": "merged"}}, "`final.start` is merged"),
        ({"evaluation": {"placement": "layers"}}, "`evaluation.placement` is layers"),
        (
            {"experts": {"method": "gradients", "schedule": "cosine"}},
            "`experts.schedule` is no constant",
        ),
        (
            {"domains": {"a": {"files": "a", "expert": "e"}, "b": {"files": "b"}}},
            "`domains.a.expert` is an expert of yours",
        ),
        (
            {"evaluation": {"sets": {"g": {"files": "g", "kind": "greedy"}}}},
            "`evaluation.sets.g` is a greedy set",
        ),
        (
            {
                "evaluation": {"sets": {"q": {"files": "q", "kind": "choice"}}},
                "objective": {"metrics": [{"set": "q", "measure": "accuracy"}]},
            },
            "`objective.metrics.0` is q/accuracy",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_trained_by_itself(
    changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValidationError, match=r"`experts.method: gradients`: ") as refused:
        recipe(**changes)
    assert words in str(refused.value)
    left = {"schedule": "cosine"} if "experts" in changes else {}
    free = recipe(**changes | {"experts": {"method": "auto", **left}})
    assert len(gradient_problems(free)) == 1


def test_a_task_with_labels_is_refused() -> None:
    values = {"task": "text-classification", "horizon_examples": 10**6}
    with pytest.raises(ValidationError, match=r"gradients were measured for causal models alone"):
        Recipe.model_validate(
            {
                "base": "b",
                "domains": {"a": {"files": "a"}, "b": {"files": "b"}},
                "experts": {"method": "gradients"},
                **values,
            }
        )


def test_domains_of_a_column_are_looked_at_once_they_are_known() -> None:
    column = {
        "domains": {},
        "domains_from": {"files": "rows.jsonl", "column": "topic"},
        "objective": {"metrics": [{"set": "maths", "measure": "loss"}]},
    }
    values = {"maths": "Maths", "law": "Law"}
    assert add_domains(recipe(**column), values, "r").domain_names == ("maths", "law")
    with pytest.raises(RecipeError, match=r"`training.method` is lora"):
        add_domains(recipe(**column, training={"method": "lora"}), values, "r")

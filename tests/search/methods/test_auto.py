import pytest

from mixwise.errors import RecipeError
from mixwise.mixture import MixtureSpace
from mixwise.objective import Metric, Objective, Term
from mixwise.search.method_table import METHODS, method_for
from mixwise.search.methods.auto import choose, design_auto

LOSS = Term(Metric("code", "loss", "min"), 1.0)
BITS = Term(Metric("quiz", "answer_bits_per_byte", "min"), 1.0)
ACCURACY = Term(Metric("quiz", "accuracy", "max"), 1.0)


@pytest.mark.parametrize(
    ("terms", "method"),
    [
        ((LOSS,), "slopes"),
        ((LOSS, BITS), "slopes"),
        ((ACCURACY,), "bayes"),
        ((LOSS, ACCURACY), "bayes"),
    ],
)
def test_metrics_that_jump_decide(terms: tuple[Term, ...], method: str) -> None:
    assert choose(Objective(terms)) == method
    assert method_for("auto", Objective(terms)) is METHODS[method]


@pytest.mark.parametrize("name", list(METHODS))
def test_every_other_name_is_its_own_row(name: str) -> None:
    if name != "auto":
        assert method_for(name, Objective((ACCURACY,))) is METHODS[name]


def test_it_starts_where_both_start() -> None:
    space = MixtureSpace.whole("abc")
    (first,) = design_auto(space, None, 0)
    assert METHODS["slopes"].design(space, None, 0) == (first,)
    assert METHODS["bayes"].design(space, None, 0)[0] == first
    with pytest.raises(RecipeError, match=r"at least 2 for .* but got 1"):
        design_auto(space, 1, 0)

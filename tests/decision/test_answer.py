from mixwise.decision.answer import answer_words, share_words
from mixwise.decision.outcome import Margin, Outcome
from mixwise.mixture import Mixture

MIXTURE = Mixture(("math", "code", "web"), (0.3, 0.699, 0.001))


def words(outcome: Outcome | None = None) -> str:
    return answer_words(MIXTURE, preferred="uniform", is_anchor=False, outcome=outcome)


def test_the_largest_share_comes_first() -> None:
    assert words() == "Train on 70 % code, 30 % math and under 1 % web."
    assert share_words({f"d{k}": 0.1 for k in range(10)}).endswith("10 % d5 and 4 more domains")


def test_the_simplest_mixture_is_named() -> None:
    uniform = Mixture.uniform(("math", "code"))
    found = answer_words(uniform, preferred="uniform", is_anchor=True, outcome=None)
    assert found == "Cannot be told from uniform: use uniform (50 % math and 50 % code)."
    found = answer_words(MIXTURE, preferred="uniform", is_anchor=True, outcome=None)
    assert "use uniform, as near as the bounds allow (" in found


def test_what_the_shares_count_is_named_where_tokens_are_not_alike() -> None:
    mixture = Mixture(("math", "code"), (0.25, 0.75))
    unit = "learned tokens"
    found = answer_words(mixture, preferred="none", is_anchor=False, outcome=None, unit=unit)
    assert found == "Train on 75 % code and 25 % math, by learned tokens."


def test_what_training_says_against_it_is_said() -> None:
    equal = Margin("uniform", 0.1, 0.4, "equal")
    ahead = Margin("only math", -0.5, -2.0, "ahead")
    assert words(Outcome("tied", 0.2, (equal,))).endswith("; when trained, uniform did as well.")
    lost = words(Outcome("lost", 0.2, (equal, ahead)))
    assert lost.endswith(", but only math did better when trained.")

import numpy as np

from mixwise.polytope.conflicts import Rule, find_conflict


def at_most(name: str, i: int, end: float, n: int = 3) -> Rule:
    return Rule(f"{name} <= {end}", np.eye(n)[i], end)


def at_least(name: str, i: int, end: float, n: int = 3) -> Rule:
    return Rule(f"{name} >= {end}", -np.eye(n)[i], -end)


def test_rules_that_can_hold_do_not_clash() -> None:
    assert find_conflict([at_most("a", 0, 0.4), at_least("b", 1, 0.6)], 3) == ()
    assert find_conflict([], 3) == ()


def test_two_that_clash_are_named_among_many_that_do_not() -> None:
    rules = [
        at_most("c", 2, 0.9),
        at_least("a", 0, 0.5),
        Rule("b >= 1.5 a", np.array([1.5, -1.0, 0.0]), 0.0),
        at_most("c", 2, 0.8),
    ]
    assert find_conflict(rules, 3) == ("a >= 0.5", "b >= 1.5 a")


def test_without_any_one_of_them_the_others_hold() -> None:
    rules = [at_most(name, i, 0.3) for i, name in enumerate("abc")]
    found = find_conflict(rules, 3)
    assert found == ("a <= 0.3", "b <= 0.3", "c <= 0.3")
    for rule in rules:
        assert find_conflict([other for other in rules if other is not rule], 3) == ()


def test_scales_do_not_matter() -> None:
    dear = Rule("mean cost <= 2", np.array([5e6, 3e6, 4e6]), 2e6)
    assert find_conflict([dear], 3) == ("mean cost <= 2",)


def test_a_grid_that_misses_the_region_is_named_with_what_it_misses() -> None:
    rules = [at_least("a", 0, 0.12), at_most("a", 0, 0.18)]
    assert find_conflict(rules, 3, grid=0.01) == ()
    assert find_conflict(rules, 3, grid=0.1) == ("a >= 0.12", "a <= 0.18", "shares in steps of 0.1")

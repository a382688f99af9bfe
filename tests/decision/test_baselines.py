import pytest

from mixwise.decision.baselines import baselines

AVAILABLE = {"a": 300, "b": 100}


def test_baselines_worked_by_hand() -> None:
    found = baselines(("uniform", "available", "single"), AVAILABLE)
    assert [(entry.name, entry.mixture.shares) for entry in found] == [
        ("uniform", (0.5, 0.5)),
        ("available tokens", (0.75, 0.25)),
        ("only a", (1, 0)),
        ("only b", (0, 1)),
    ]


@pytest.mark.parametrize(
    ("kinds", "names"),
    [
        ((), []),
        (("single",), ["only a", "only b"]),
        (("available", "uniform"), ["available tokens", "uniform"]),
        (("uniform", "uniform"), ["uniform"]),
    ],
)
def test_only_what_is_asked_for_in_that_order(kinds: tuple[str, ...], names: list[str]) -> None:
    assert [entry.name for entry in baselines(kinds, AVAILABLE)] == names


def test_equal_mixtures_are_kept_once_under_the_first_name() -> None:
    found = baselines(("uniform", "available", "single"), {"a": 7, "b": 7, "c": 7})
    assert [entry.name for entry in found] == ["uniform", "only a", "only b", "only c"]


def test_a_domain_without_tokens_gets_no_share_of_the_available() -> None:
    (entry,) = baselines(("available",), {"a": 10, "b": 0})
    assert entry.mixture.shares == (1, 0)

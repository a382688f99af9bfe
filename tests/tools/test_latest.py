from __future__ import annotations

from collections.abc import Sequence

from tools.latest import Blame, Change, describe, find_blame, find_changes, parse_pins

LOCK = """# made by a tool
alpha==1.0 \\
    --hash=sha256:00 \\
    --hash=sha256:01
beta-two==2.0 ; python_version >= '3.11' \\
    --hash=sha256:02
beta-two==1.0 ; python_version < '3.11' \\
    --hash=sha256:03
"""
ALPHA, BETA, GAMMA = (Change(name, "1", "2") for name in ("alpha", "beta", "gamma"))
DIRECT = frozenset({"alpha", "beta"})


def test_pins_of_this_python() -> None:
    assert parse_pins(LOCK) == {"alpha": "1.0", "beta-two": "2.0"}


def test_changes_are_packages_in_another_release() -> None:
    found = find_changes(
        {"alpha": "1.0", "beta": "2.0", "absent": "3"}, {"alpha": "1.1", "beta": "2.0"}
    )
    assert found == [Change("alpha", "1.0", "1.1")]


def test_each_release_is_blamed_for_what_it_breaks() -> None:
    """`a` needs the old alpha, `b` the old beta, `g` the old gamma, `ab` both, `never` fails."""
    needs = {"a": {ALPHA}, "b": {BETA}, "g": {GAMMA}, "ab": {ALPHA, BETA}, "never": None}
    asked: list[Sequence[Change]] = []

    def still_failing(back: Sequence[Change], tests: frozenset[str]) -> frozenset[str]:
        asked.append(back)
        return frozenset(t for t in tests if (need := needs[t]) is None or not need <= set(back))

    blame = find_blame(frozenset(needs), [ALPHA, BETA, GAMMA], DIRECT, still_failing)
    assert blame == Blame(
        {ALPHA: frozenset("a"), BETA: frozenset("b")}, frozenset({"ab", "g"}), frozenset({"never"})
    )
    assert asked == [[ALPHA], [BETA], [ALPHA, BETA, GAMMA]]
    assert list(describe(blame)) == [
        "broken by alpha 1 -> 2: 1 test(s)",
        "    a",
        "broken by beta 1 -> 2: 1 test(s)",
        "    b",
        "broken by several new releases together, or by an indirect one: 2 test(s)",
        "    ab",
        "    g",
        "fails with the locked releases too: 1 test(s)",
        "    never",
    ]


def test_nothing_is_put_back_where_nothing_has_changed() -> None:
    def never(back: Sequence[Change], tests: frozenset[str]) -> frozenset[str]:
        raise AssertionError

    blame = find_blame(frozenset({"a"}), [], DIRECT, never)
    assert blame == Blame({}, frozenset(), frozenset({"a"}))

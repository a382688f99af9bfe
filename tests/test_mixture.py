import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixwise.errors import RecipeError
from mixwise.mixture import Limit, Mixture, MixtureSpace
from mixwise.search.space.vertices import list_vertices

Array = npt.NDArray[np.float64]
UNITS = 20


def names(n: int) -> tuple[str, ...]:
    return tuple(f"d{i}" for i in range(n))


@st.composite
def shares(draw: st.DrawFn, max_domains: int = 8) -> tuple[float, ...]:
    amounts = draw(st.lists(st.floats(0, 1), min_size=1, max_size=max_domains))
    total = sum(amounts)
    return tuple(a / total for a in amounts) if total > 1e-3 else (1.0,)


@st.composite
def spaces(draw: st.DrawFn, min_domains: int = 2, max_domains: int = 5) -> MixtureSpace:
    """Bounds in twentieths around a point of the simplex, so that some mixture satisfies them."""
    n = draw(st.integers(min_domains, max_domains))
    cuts = sorted(draw(st.lists(st.integers(0, UNITS), min_size=n - 1, max_size=n - 1)))
    point = np.diff([0, *cuts, UNITS]).tolist()
    lower = [draw(st.integers(0, p)) for p in point]
    upper = [draw(st.integers(p, UNITS)) for p in point]
    return MixtureSpace(
        names(n), tuple(low / UNITS for low in lower), tuple(high / UNITS for high in upper)
    )


def project_by_breakpoints(point: Array, low: Array, high: Array) -> Array:
    """Exact: the total of clip(x − τ, l, u) is linear in τ between the breakpoints."""
    taus = np.unique(np.concatenate([point - low, point - high]))
    totals = np.array([np.clip(point - tau, low, high).sum() for tau in taus])
    right = int(np.argmax(totals <= 1 + 1e-12))
    if right == 0 or totals[right] == totals[right - 1]:
        return np.clip(point - taus[right], low, high)
    part = (totals[right - 1] - 1) / (totals[right - 1] - totals[right])
    tau = taus[right - 1] + part * (taus[right] - taus[right - 1])
    return np.clip(point - tau, low, high)


@pytest.mark.parametrize(
    ("domains", "values", "rule"),
    [
        (("a", "b"), (1.0,), "one share per domain, but got 1 shares for 2 domains"),
        ((), (), "one share per domain, but got 0 shares"),
        (("a", "b"), (1.5, -0.5), r"must be a number ≥ 0, but got \(1.5, -0.5\)"),
        (("a", "b"), (float("nan"), 1.0), "must be a number ≥ 0"),
        (("a", "b"), (float("inf"), 0.0), "must be a number ≥ 0"),
        (("a", "b"), (0.5, 0.4), r"must add up to 1, .* add up to 0.9: divide each by that sum"),
        (("a", "b"), (0.7, 0.7), "add up to 1.4"),
    ],
)
def test_shares_that_make_no_mixture_are_refused(
    domains: tuple[str, ...], values: tuple[float, ...], rule: str
) -> None:
    with pytest.raises(RecipeError, match=rule):
        Mixture(domains, values)


def test_rounding_goes_to_the_largest_share() -> None:
    assert Mixture.uniform(names(3)).shares == (0.333333334, 0.333333333, 0.333333333)


def test_a_sum_within_the_tolerance_is_made_exact() -> None:
    assert Mixture(("a", "b"), (0.4, 0.6000004)).shares == (0.4, 0.6)


def test_a_tiny_negative_share_is_zero() -> None:
    assert Mixture(("a", "b"), (-1e-8, 1.0)).shares == (0.0, 1.0)


def test_mixtures_closer_than_the_grid_are_equal_and_hash_alike() -> None:
    left = Mixture(("a", "b"), (0.1 + 0.2, 0.7))
    right = Mixture(("a", "b"), (0.3, 0.7 + 1e-12))
    assert left == right
    assert hash(left) == hash(right)


def test_mixtures_one_grid_step_apart_differ() -> None:
    left, right = (Mixture(("a", "b"), (x, 1 - x)) for x in (0.3, 0.300000001))
    assert left != right
    assert str(left) != str(right)


@given(shares())
@settings(deadline=None, max_examples=100)
def test_shares_stand_on_the_grid_and_add_up_exactly(values: tuple[float, ...]) -> None:
    mixture = Mixture(names(len(values)), values)
    grid = [round(share * 1e9) for share in mixture.shares]
    assert sum(grid) == 10**9
    assert mixture.shares == tuple(g / 1e9 for g in grid)
    assert np.abs(mixture.array - values).max() < 1e-8


@given(shares())
@settings(deadline=None, max_examples=100)
def test_building_again_and_reading_the_text_again_change_nothing(
    values: tuple[float, ...],
) -> None:
    mixture = Mixture(names(len(values)), values)
    assert Mixture(mixture.domains, mixture.shares) == mixture
    assert Mixture.parse(str(mixture), mixture.domains) == mixture


def test_uniform_shares_equally_among_members_only() -> None:
    assert Mixture.uniform("abcd", "bd").as_dict() == {"a": 0, "b": 0.5, "c": 0, "d": 0.5}


def test_uniform_names_an_unknown_member() -> None:
    with pytest.raises(RecipeError, match="`maths` is not a domain: did you mean `math`"):
        Mixture.uniform(["math", "code"], ["maths"])


def test_single_is_a_corner() -> None:
    mixture = Mixture.single("abc", "b")
    assert mixture.shares == (0, 1, 0)
    assert mixture.support == ("b",)


def test_proportional_divides_by_the_total() -> None:
    assert Mixture.proportional({"a": 30, "b": 10}).shares == (0.75, 0.25)


def test_parse_takes_spaces_any_order_and_a_trailing_comma() -> None:
    assert Mixture.parse(" b = .25 , a=0.75,", "abc").shares == (0.75, 0.25, 0)


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("math=0.5,cod=0.5", "mixture `math=0.5,cod=0.5`: `cod` is not a domain: .*`code`"),
        ("math=0.5,math=0.5", "`math` stands twice: name it once"),
        (
            "math=half,code=0.5",
            "share of `math` must be a number, but got `half`: write `math=0.5`",
        ),
        ("math", "share of `math` must be a number, but got ``"),
        ("math=0.5", "must add up to 1"),
        ("math=nan,code=1", "must be a number ≥ 0"),
        ("math=2,code=-1", "must be a number ≥ 0"),
        ("", "must name at least one domain"),
    ],
)
def test_parse_names_what_is_wrong(text: str, rule: str) -> None:
    with pytest.raises(RecipeError, match=rule):
        Mixture.parse(text, ["math", "code"])


def test_distance_is_the_share_that_moves() -> None:
    left, right = Mixture.parse("a=0.7,b=0.3", "abc"), Mixture.parse("a=0.5,c=0.5", "abc")
    assert left.distance(right) == pytest.approx(0.5)
    assert left.distance(left) == 0


def test_corners_are_at_distance_one() -> None:
    assert Mixture.single("ab", "a").distance(Mixture.single("ab", "b")) == 1


@pytest.mark.parametrize(
    ("lower", "upper", "rule"),
    [
        (
            (0.6, 0.6),
            (1.0, 1.0),
            r"`min_share` of the domains must add up to at most 1, but they add up to 1.2: "
            r"lower one of `a` \(0.6\), `b` \(0.6\)",
        ),
        (
            (0.0, 0.0),
            (0.5, 0.3),
            r"`max_share` of the domains must add up to at least 1, but they add up to 0.8: "
            r"raise one of `a` \(0.5\), `b` \(0.3\)",
        ),
        (
            (0.7, 0.0),
            (0.2, 1.0),
            "bounds of `a` must satisfy .* min_share 0.7 and max_share 0.2: lower the first or",
        ),
        ((-0.1, 0.0), (1.0, 1.0), "bounds of `a` must satisfy"),
        ((0.0, 0.0), (1.0, 1.1), "bounds of `b` must satisfy"),
    ],
)
def test_bounds_that_no_mixture_satisfies_are_refused_with_a_remedy(
    lower: tuple[float, ...], upper: tuple[float, ...], rule: str
) -> None:
    with pytest.raises(RecipeError, match=rule):
        MixtureSpace(("a", "b"), lower, upper)


def test_bounds_that_leave_one_point_are_a_space() -> None:
    space = MixtureSpace(("a", "b"), (0.4, 0.6), (0.4, 0.6))
    assert [m.shares for m in list_vertices(space)] == [(0.4, 0.6)]
    assert space.mixture(np.array([9.0, -4.0])).shares == (0.4, 0.6)


def test_contains_forgives_a_millionth_and_no_more() -> None:
    space = MixtureSpace(("a", "b"), (0.5, 0.0), (1.0, 1.0))
    assert space.contains(Mixture(("a", "b"), (0.4999995, 0.5000005)))
    assert not space.contains(Mixture(("a", "b"), (0.49, 0.51)))


def test_projection_worked_by_hand() -> None:
    space = MixtureSpace(("a", "b", "c"), (0.0, 0.2, 0.0), (0.5, 1.0, 1.0))
    # a is cut to 0.5, b lifted to 0.2, what is left goes to c
    assert space.mixture(np.array([1.0, 0.0, 0.1])).shares == pytest.approx((0.5, 0.2, 0.3))


@given(spaces(), st.lists(st.floats(-2, 2), min_size=5, max_size=5))
@settings(deadline=None, max_examples=200)
def test_projection_equals_the_exact_one(space: MixtureSpace, values: list[float]) -> None:
    point = np.array(values[: len(space.domains)])
    expected = project_by_breakpoints(point, np.array(space.lower), np.array(space.upper))
    assert space.mixture(point).array == pytest.approx(expected, abs=1e-7)


@given(spaces(), st.lists(st.floats(-2, 2), min_size=5, max_size=5), st.integers(0, 99))
@settings(deadline=None, max_examples=50)
def test_no_mixture_of_the_space_is_nearer_than_the_projection(
    space: MixtureSpace, values: list[float], seed: int
) -> None:
    point = np.array(values[: len(space.domains)])
    corners = np.array([vertex.shares for vertex in list_vertices(space)])
    rng = np.random.default_rng(seed)
    others = rng.dirichlet(np.full(len(corners), 0.3), 200) @ corners
    projected = space.mixture(point)
    assert space.contains(projected)
    nearest_other = np.linalg.norm(others - point, axis=1).min()
    assert np.linalg.norm(projected.array - point) <= nearest_other + 1e-6


@given(spaces())
@settings(deadline=None, max_examples=50)
def test_projecting_a_mixture_of_the_space_leaves_it(space: MixtureSpace) -> None:
    middle = np.mean([vertex.shares for vertex in list_vertices(space)], axis=0)
    assert space.mixture(middle).array == pytest.approx(middle, abs=1e-7)


def test_a_limit_is_checked() -> None:
    with pytest.raises(RecipeError, match="`x` must have finite numbers"):
        Limit("x", (1.0, float("nan")), 0.0, None)
    with pytest.raises(RecipeError, match="`x` names no domain"):
        Limit("x", (0.0, 0.0), 0.0, None)
    with pytest.raises(RecipeError, match="`x` has neither a least nor a most"):
        Limit("x", (1.0, 0.0), None, None)
    with pytest.raises(RecipeError, match=r"its least \(1\) not above its most \(0\)"):
        Limit("x", (1.0, 0.0), 1.0, 0.0)


def test_the_limits_of_a_space_are_checked() -> None:
    one = Limit("a + b", (1.0, 1.0, 0.0), 0.5, None)
    with pytest.raises(RecipeError, match=r"`a \+ b` stands twice"):
        MixtureSpace(("a", "b", "c"), (0.0,) * 3, (1.0,) * 3, (one, one))
    with pytest.raises(RecipeError, match="has 3 coefficients, but there are 2 domains"):
        MixtureSpace(("a", "b"), (0.0,) * 2, (1.0,) * 2, (one,))
    with pytest.raises(RecipeError, match=r"`grid` must be a step that divides 1, .* but got 0.3"):
        MixtureSpace(("a", "b"), (0.0,) * 2, (1.0,) * 2, (), 0.3)
    with pytest.raises(RecipeError, match=r"`c` ≥ 0.6 \(min_share\); `a \+ b` \(≥ 0.5\): loosen"):
        MixtureSpace(("a", "b", "c"), (0.0, 0.0, 0.6), (1.0,) * 3, (one,))
    with pytest.raises(RecipeError, match=r"`c` ≤ 0.18 .*; shares in steps of 0.25: loosen"):
        MixtureSpace(("a", "b", "c"), (0.0, 0.0, 0.12), (1.0, 1.0, 0.18), (), 0.25)


def test_what_a_mixture_breaks_is_told_in_words() -> None:
    one = Limit("a + b", (1.0, 1.0, 0.0), 0.5, 0.8)
    space = MixtureSpace(("a", "b", "c"), (0.1, 0.0, 0.0), (1.0, 0.4, 1.0), (one,))
    assert space.broken(Mixture(("a", "b", "c"), (0.3, 0.3, 0.4))) == ()
    assert space.broken(Mixture(("a", "b", "c"), (0.0, 0.45, 0.55))) == (
        "`a` is 0, at least 0.1 is asked for",
        "`b` is 0.45, at most 0.4 is allowed",
        "`a + b` is 0.45, at least 0.5 is asked for",
    )


def test_with_limits_the_nearest_mixture_is_inside_and_on_the_grid() -> None:
    one = Limit("a >= 2 b", (1.0, -2.0, 0.0), 0.0, None)
    space = MixtureSpace(("a", "b", "c"), (0.0,) * 3, (1.0,) * 3, (one,), 0.1)
    found = space.mixture(np.full(3, 1 / 3))
    assert found.array == pytest.approx([6 / 14, 3 / 14, 5 / 14], abs=1e-8)
    assert space.contains(found)
    assert not space.is_on_grid(found)
    assert space.trainable(np.full(3, 1 / 3)).shares == (0.4, 0.2, 0.4)
    assert space.reach()[1] == pytest.approx((1.0, 1 / 3, 1.0))


@pytest.mark.parametrize("text", ["a\x1b[2J=1", "a=\x1b[2J", "a=1\n,b=x", "x" * 5000, "\u202ea=1"])
def test_a_text_that_is_no_mixture_is_shown_escaped_and_short(text: str) -> None:
    with pytest.raises(RecipeError, match="mixture `") as caught:
        Mixture.parse(text, ("a", "b"))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 600

import numpy as np
import pytest

from mixwise.errors import RecipeError
from mixwise.recipe.linear import parse_limit

DOMAINS = ("math", "code", "web", "web-2", "7")
GROUPS = {"english": ("web", "web-2")}


@pytest.mark.parametrize(
    ("text", "row", "least", "most"),
    [
        ("code >= 2 * math", (-2, 1, 0, 0, 0), 0, None),
        ("web + code <= 60%", (0, 1, 1, 0, 0), None, 0.6),
        ("code - math = 0.1", (-1, 1, 0, 0, 0), 0.1, 0.1),
        ("code == math", (-1, 1, 0, 0, 0), 0, 0),
        ("math*3/2 ≤ code+.5", (1.5, -1, 0, 0, 0), None, 0.5),
        ("0.2 <= web-2", (0, 0, 0, -1, 0), None, -0.2),
        ("english ≥ 1e-1 + math", (-1, 0, 1, 1, 0), 0.1, None),
        ('"7" <= 7 * math', (-7, 0, 0, 0, 1), None, 0),
        ("-math + 0.1 >= -code", (-1, 1, 0, 0, 0), -0.1, None),
        ("english - web <= 0.2", (0, 0, 0, 1, 0), None, 0.2),
        ("math + math <= 1", (2, 0, 0, 0, 0), None, 1),
    ],
)
def test_what_a_limit_says(
    text: str, row: tuple[float, ...], least: float | None, most: float | None
) -> None:
    found = parse_limit(text, DOMAINS, GROUPS)
    assert found.coefficients == pytest.approx(row)
    assert (found.least, found.most) == pytest.approx((least, most))
    assert found.name == text


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("", r"has 0 relations, but needs one of <=, >=, =: write a limit such as `code >= 2"),
        ("code", "has 0 relations"),
        ("0.1 <= code <= 0.2", "has 2 relations"),
        ("code > math", "cannot be read from `> math` on"),
        ("code => math", "cannot be read from `> math` on"),
        ("mth <= code", r"`mth` is neither a domain nor a group: did you mean `math`"),
        ("code-math <= 0", r"`code-math` is neither .*a minus between names needs blanks"),
        ("code * math <= 1", "`code [*] math` multiplies two names: multiply by a number"),
        ("1 / code <= 1", "`1 / code` divides by a name: multiply instead"),
        ("code / 0 <= 1", "`code / 0` divides by 0"),
        ("2 math <= 1", "`2 math` is no term"),
        ("2 * <= math", "`2 [*]` is no term"),
        ("<= math", "`nothing` is no term"),
        ("code - code <= 1", "names no domain: name one or leave it out"),
        ("__import__('os') <= 1", "cannot be read from"),
        ("code ** 2 <= 1", "is no term"),
        ("(code + math) <= 1", "cannot be read from"),
    ],
)
def test_what_is_no_limit(text: str, match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        parse_limit(text, DOMAINS, GROUPS)


def test_its_value_is_that_of_the_shares() -> None:
    found = parse_limit("code >= 2 * math", DOMAINS)
    shares = np.array([0.2, 0.5, 0.3, 0.0, 0.0])
    assert found.value(shares) == pytest.approx(0.1)
    assert found.missed(shares) == 0
    assert found.missed(shares[[1, 0, 2, 3, 4]]) == pytest.approx(0.8)

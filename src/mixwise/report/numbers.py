"""How numbers look on the page: one way each, with a true minus sign."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mixwise.decision.fidelity import Estimate

NOTHING = "—"
MOST_NAMED = 6  # domains or metrics that a sentence or a row names
_MINUTE, _HOUR = 60, 3600


def number(value: float | None) -> str:
    """A measured value with three decimals, or three digits where those would hide it.

    Example:
        >>> number(-1.25), number(0.00012), number(None)
        ('−1.250', '0.00012', '—')
    """
    if value is None:
        return NOTHING
    if value == 0:
        return "0.000"  # of minus zero too
    text = f"{value:.3f}" if 0.001 <= abs(value) < 10_000 else f"{value:.3g}"
    return text.replace("-", "−")


def signed(value: float | None) -> str:
    """A difference or a gain, with its sign.

    Example:
        >>> signed(0.5)
        '+0.500'
    """
    return number(value) if value is None or value <= 0 else "+" + number(value)


def widths(value: float) -> str:
    """A difference in noise widths.

    Example:
        >>> widths(-1.25)
        '−1.2 noise widths'
    """
    return f"{value:+.1f} noise widths".replace("-", "−")


def interval(bounds: tuple[float, float] | None) -> str:
    """Both ends of an interval.

    Example:
        >>> interval((-1.0, 0.5))
        '−1.000 to 0.500'
    """
    return NOTHING if bounds is None else f"{number(bounds[0])} to {number(bounds[1])}"


def estimate(figure: Estimate) -> str:
    """A figure and its interval, or a dash where it is not defined."""
    if figure.value is None or figure.low is None or figure.high is None:
        return number(figure.value)
    return f"{number(figure.value)} ({interval((figure.low, figure.high))})"


def count(value: int) -> str:
    """A whole number with its thousands apart.

    Example:
        >>> count(65536)
        '65,536'
    """
    return f"{value:,}".replace("-", "−")


def share(value: float) -> str:
    """A share as per cent; one too small to show is not shown as none.

    Example:
        >>> share(0.249), share(1.0), share(0.0002)
        ('24.9 %', '100 %', '<0.1 %')
    """
    if 0 < value < 0.0005:
        return "<0.1 %"
    return f"{100 * value:.1f}".removesuffix(".0") + " %"


def mixture(shares: Mapping[str, float]) -> str:
    """A mixture in words; a plain average of some domains is named by its members.

    Example:
        >>> mixture({"a": 0.5, "b": 0.5, "c": 0.0}), mixture({"a": 0.7, "b": 0.3})
        ('a + b', 'a 70 %, b 30 %')
    """
    present = {name: value for name, value in shares.items() if value > 0}
    if is_subset(shares):
        return " + ".join(present)
    return ", ".join(f"{name} {share(value)}" for name, value in present.items())


def brief(shares: Mapping[str, float]) -> str:
    """A mixture in words; of very many domains only the largest shares.

    Example:
        >>> brief({name: 1 / 8 for name in "abcdefgh"})
        'all 8 domains alike'
        >>> brief(dict(zip("abcdefghi", [0.2, 0.04] + 6 * [0.12] + [0.04])))
        'a 20 %, c 12 %, d 12 %, e 12 %, f 12 %, g 12 %, and 3 more'
    """
    present = [name for name in shares if shares[name] > 0]
    if is_subset(shares) and len(present) > MOST_NAMED:
        if len(present) == len(shares):
            return f"all {len(shares)} domains alike"
        return f"{len(present)} of {len(shares)} domains alike: {some(present)}"
    hidden = set(sorted(present, key=lambda name: -shares[name])[MOST_NAMED:])
    if len(hidden) < 2:
        return mixture(shares)
    shown = {name: shares[name] for name in present if name not in hidden}
    return f"{mixture(shown)}, and {len(hidden)} more"


def some(names: Sequence[str]) -> str:
    """Names in a row; of very many the first.

    Example:
        >>> some("ab"), some("abcdefghi")
        ('a, b', 'a, b, c, d, e, f, and 3 more')
    """
    if len(names) < MOST_NAMED + 2:
        return ", ".join(names)
    return f"{', '.join(names[:MOST_NAMED])}, and {len(names) - MOST_NAMED} more"


def is_subset(shares: Mapping[str, float]) -> bool:
    """Whether some domains share equally and the others have nothing."""
    present = [value for value in shares.values() if value > 0]
    return bool(present) and max(present) - min(present) < 1e-6


def duration(seconds: float) -> str:
    """A time in the unit that fits it.

    Example:
        >>> duration(4.04), duration(90), duration(5400)
        ('4.0 s', '1.5 min', '1.5 h')
    """
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    return f"{seconds / _MINUTE:.1f} min" if seconds < _HOUR else f"{seconds / _HOUR:.1f} h"


def seeds(n: int) -> str:
    """How often a mixture was trained.

    Example:
        >>> seeds(1), seeds(2)
        ('1 seed', '2 seeds')
    """
    return f"{n} seed" if n == 1 else f"{n} seeds"

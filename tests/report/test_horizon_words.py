from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from mixwise.report.horizon_words import horizon_words
from mixwise.report.reading import load_contents

MakeStudy = Callable[..., Path]


def test_both_horizons_and_the_move_between_them_are_told(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).recommendation
    words = horizon_words(found)
    assert "Experts read 100 tokens each, the final model 1,000" in words
    assert "The proxy is the experts merged and their predictions averaged." in words
    assert "continued to the final horizon from experts at 50, 100 tokens" in words
    assert "Left as they are at the experts' end: quiz/accuracy." in words
    assert "The best mixture has settled" in words
    assert found is not None
    far = replace(found.horizons.path[-1], behind=0.5)
    moving = replace(found, horizons=replace(found.horizons, path=(far,)))
    assert "The best mixture still moves with the horizon" in horizon_words(moving)
    longer = replace(found, horizons=replace(found.horizons, coefficients={"python/loss": 2.0}))
    assert "taken longer (2 times for python/loss)." in horizon_words(longer)
    alone = replace(found, horizons=replace(found.horizons, answers=("predictions",)))
    assert "The proxy is the experts' predictions averaged." in horizon_words(alone)
    many = replace(found.horizons, continued=tuple(f"d{k}/loss" for k in range(24)))
    assert "d5/loss, and 18 more are continued" in horizon_words(replace(found, horizons=many))
    assert horizon_words(None) == ""

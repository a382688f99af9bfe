from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixwise.report.contents import Contents
from mixwise.report.fidelity_words import calibrated_words, validation_words
from mixwise.report.reading import load_contents

MakeStudy = Callable[..., Path]


def test_calibrated_fidelity_stands_beside_the_proxys(make_study: MakeStudy) -> None:
    contents: Contents = load_contents(make_study())
    found = contents.validation
    assert found is not None
    error = found.fidelity["objective"].mean_absolute_error.value
    assert error == pytest.approx(0.1875)
    assert calibrated_words(contents).endswith("0.188 where the proxy alone errs by 0.188.")
    assert calibrated_words(replace(contents, validation=None)) == ""


def test_a_proxy_no_better_than_chance_is_called_so(make_study: MakeStudy) -> None:
    contents: Contents = load_contents(make_study())
    found = contents.validation
    assert found is not None
    assert "chance" not in validation_words(found)
    poor = replace(found.fidelity["objective"].spearman, value=0.1)
    fidelity = {"objective": replace(found.fidelity["objective"], spearman=poor)}
    words = validation_words(replace(found, fidelity=fidelity))
    assert "better than chance: shuffled scores reach ρ = 0." in words


def test_references_with_unequal_seeds_are_told_by_the_fewest(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).validation
    assert found is not None
    assert "trained with 2 seeds each" in validation_words(found)
    more = {"objective": replace(found.fidelity["objective"], n_runs=99)}
    assert "trained with at least 2 seeds each" in validation_words(replace(found, fidelity=more))

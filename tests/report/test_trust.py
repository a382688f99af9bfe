from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixwise.decision.trust import Trust, Word
from mixwise.report.contents import Contents
from mixwise.report.reading import load_contents
from mixwise.report.trust import (
    calibration,
    calibration_table,
    diagnosis,
    geometry_table,
    share_ranges,
    trust_box,
)
from mixwise.study.results import CalibrationFound

MakeStudy = Callable[..., Path]
OLD = ("search", "validation", "final")


def _trust(word: Word = "trust", *, is_clear: bool = True) -> Trust:
    return Trust(word, "measured", is_clear, ("over <8> references",), ())


@pytest.mark.parametrize(
    ("trust", "parts"),
    [
        (_trust(), ["<strong>Trust</strong>", "both be trusted", 'class="outcome trust won"']),
        (
            _trust("trust the ranking only"),
            ["<strong>Trust the ranking only</strong>", 'class="outcome trust"'],
        ),
        (_trust("do not trust"), ["cannot be trusted", 'class="outcome trust lost"']),
        (_trust(is_clear=False), ["measured on trained references, but there are too few"]),
        (replace(_trust(), basis="predicted"), ["as predicted from the experts alone."]),
        (
            replace(_trust(), remedies=("a", "set `b`")),
            ["<li>A.</li><li>Set <code>b</code>.</li>"],
        ),
    ],
)
def test_trust_is_said_in_words(trust: Trust, parts: list[str]) -> None:
    text = trust_box(trust)
    assert [part for part in parts if part not in text] == []
    assert "<li>Over &lt;8&gt; references.</li>" in text
    assert ("What helps" in text) == bool(trust.remedies)


def test_no_trust_leaves_no_box() -> None:
    assert trust_box(None) == ""


def test_ranges_are_drawn_from_low_to_high(make_study: MakeStudy) -> None:
    text = share_ranges(load_contents(make_study(domains=("a", "b"))))
    assert 'style="left:33.33%;width:50.00%"' in text  # a: from 1/3 to 5/6, recommended 2/3
    assert '<b style="left:66.67%"></b>' in text
    assert "33.3 % to 83.3 %" in text


def test_no_ranges_in_an_older_study(make_study: MakeStudy) -> None:
    assert share_ranges(load_contents(make_study(stages=OLD))) == ""


def test_calibration_says_what_was_missed_and_why_each_was_trained(make_study: MakeStudy) -> None:
    contents = load_contents(make_study(domains=("a", "b")))
    found = contents.calibration
    assert found is not None
    first, second = calibration_table(found, contents.domains).split("<tr>")[2:]
    # uniform: 1 − 2·|1/2 − 2/3| by the proxy; trained, 0.125 and 0.375 more
    assert [x for x in ("+0.667", "+0.917", "+0.250", "first, the middle") if x not in first] == []
    assert "+0.792, +1.042" in first
    assert "expected gain 0.062" in second
    words = calibration(contents)
    assert "2 seeds each: the middle of the space, then what was expected" in words
    assert "from these and from the 8 references of the validation" in words


def test_a_single_calibration_run_is_told_in_the_singular(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    found = contents.calibration
    assert found is not None
    one = replace(found, mixtures=found.mixtures[:1])
    words = calibration(replace(contents, calibration=one, validation=None))
    assert "the middle of the space. What the proxy misses is learned from this, and" in words


@pytest.mark.parametrize(
    ("stages", "part"),
    [
        (("search", "calibration"), "learned from the validation&#x27;s references."),
        (OLD, "the proxy&#x27;s own, as it is."),
    ],
)
def test_without_calibration_the_page_says_so(
    make_study: MakeStudy, stages: tuple[str, ...], part: str
) -> None:
    contents: Contents = replace(load_contents(make_study(stages=stages)), calibration=None)
    assert part in calibration(contents)
    empty = CalibrationFound((1,), "linear", (), None)
    assert calibration(replace(contents, calibration=empty)) == calibration(contents)


def test_diagnosis_shows_geometry_and_its_own_trust(make_study: MakeStudy) -> None:
    text = diagnosis(load_contents(make_study()))
    assert text.count("1.25 %") == 3
    assert text.count("0.250") == 6
    assert "<strong>Do not trust</strong>" in text
    assert "mixwise diagnose STUDY" in diagnosis(load_contents(make_study(stages=OLD)))


def test_of_many_experts_only_those_most_and_least_alike_are_named(make_study: MakeStudy) -> None:
    found = load_contents(make_study()).diagnosis
    assert found is not None
    n = 12
    names = tuple(f"d{k}" for k in range(n))
    cosines = tuple(tuple(1.0 if i == j else (i + j) / 32 for j in range(n)) for i in range(n))
    geometry = replace(found.geometry, domains=names, relative_sizes=(0.02,) * n, cosines=cosines)
    text = geometry_table(replace(found, geometry=geometry))
    row = text.split("<tr>")[5].split("</tr>")[0]  # d3 beside d0 to d11: 3/32 to 14/32
    assert [word in row for word in ("d11 0.438", "d0 0.094", "2.00 %")] == [True] * 3
    assert f"{(3 * 11 + sum(range(n)) - 3) / 32 / 11:.3f}" in row
    assert "Every cosine is in diagnose.json" in text

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.conftest import save

from mixwise.decision.score import Score
from mixwise.errors import DamagedError, StudyError
from mixwise.files import seal
from mixwise.mixture import Mixture
from mixwise.report.reading import load_contents
from mixwise.study.results import MetricFacts

MakeStudy = Callable[..., Path]

RECIPE = """
base: base
domains: {math: {files: a}, code: {files: b}}
horizon_tokens: 4096
sequence_length: 64
objective: {metrics: [{set: math, measure: loss, direction: max}]}
"""


def test_a_whole_study(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    assert contents.domains == ("math", "code", "web")
    assert contents.recommended is not None
    assert contents.recommended.answers.reached() == 1.25
    assert [c.standing for c in contents.candidates] == [
        "recommended",
        "equal",
        "behind",
        "ahead",
        "behind",
    ]
    assert [c.candidate.within_bounds for c in contents.candidates] == [True, True] + [False] * 3
    assert contents.provenance["experts web"] == "feed"


def test_a_recommended_mixture_that_the_search_had_not_scored_is_among_the_candidates(
    make_study: MakeStudy,
) -> None:
    folder = make_study()
    found = load_contents(folder).recommendation
    assert found is not None
    mixture = Mixture(("math", "code", "web"), (0.5, 0.25, 0.25))
    near = tuple(replace(row, standing="equal") for row in found.near_optimal)
    other = replace(found, mixture=mixture, proxy=replace(found.proxy, objective=0.9))
    save(folder, replace(other, near_optimal=near))
    first, second, *others = load_contents(folder).candidates
    scores = [row.candidate.score for row in (first, second)]
    assert (first.standing, scores[0].objective) == ("equal", 1.0)  # the best by the proxy
    assert (second.standing, scores[1].objective) == ("recommended", 0.9)
    assert scores[1] == Score(mixture, 0.9, found.proxy.metrics)
    assert "recommended" not in {candidate.standing for candidate in others}


def test_final_of_an_earlier_recommendation_is_not_this_ones(make_study: MakeStudy) -> None:
    folder = make_study()
    final = load_contents(folder).final
    assert final is not None
    save(folder, replace(final, rows=final.rows[::-1]))
    contents = load_contents(folder)
    assert contents.final is None
    assert contents.recommended is not None
    assert contents.recommended.answers.runs == ()


def test_a_baseline_has_the_runs_of_the_same_mixture(make_study: MakeStudy) -> None:
    baselines = {row.answers.name: row.answers for row in load_contents(make_study()).baselines}
    assert len(baselines["uniform"].runs) == 2
    assert baselines["only web"].runs == ()


def test_an_empty_folder_has_no_stage(tmp_path: Path) -> None:
    contents = load_contents(tmp_path)
    assert (
        contents.search is contents.recommendation is contents.validation is contents.final is None
    )
    assert contents.recommended is None
    assert contents.spent == ()
    assert not (tmp_path / "ledger.sqlite").exists()


def test_results_of_another_recipe_count_as_missing(make_study: MakeStudy) -> None:
    folder = make_study()
    for name in ("validation.json", "final.json"):
        content = json.loads((folder / name).read_text())
        (folder / name).write_text(seal(content | {"recipe": "another"}))
    contents = load_contents(folder)
    assert contents.validation is contents.final is None
    assert contents.search is not None


def test_a_broken_file_is_named(make_study: MakeStudy) -> None:
    folder = make_study()
    (folder / "final.json").write_text("{")
    with pytest.raises(
        DamagedError, match=r"final\.json: is damaged \(not readable JSON.* makes it anew"
    ):
        load_contents(folder)


def test_the_recommendations_own_trust_comes_before_the_diagnosis(make_study: MakeStudy) -> None:
    contents = load_contents(make_study())
    assert contents.trust is not None
    assert contents.trust.word == "trust the ranking only"
    assert contents.diagnosis is not None
    assert contents.diagnosis.trust.word == "do not trust"
    other = load_contents(make_study(stages=("search", "diagnosis"))).trust
    assert other is not None
    assert other.basis == "predicted"


def test_fidelity_of_another_version_says_what_to_do(make_study: MakeStudy) -> None:
    folder = make_study()
    content = json.loads((folder / "validation.json").read_text())
    del content["fidelity"]["objective"]["chance"]
    (folder / "validation.json").write_text(seal(content))
    with pytest.raises(StudyError, match=r"validation\.json: was written by another version"):
        load_contents(folder)


def test_metrics_are_those_of_the_search_whatever_the_recipe_says_now(
    make_study: MakeStudy,
) -> None:
    contents = load_contents(make_study(domains=("math", "code"), recipe="]["))
    assert contents.metrics == {
        "objective": MetricFacts("max", "", True),
        "math/loss": MetricFacts("min", "nats/token", True),
        "code/loss": MetricFacts("min", "nats/token", False),
    }


def test_spending_is_summed_by_answer(make_study: MakeStudy) -> None:
    proxy, reference = load_contents(make_study()).spent
    assert (proxy.n, proxy.seconds, proxy.tokens_evaluated) == (2, 3.0, 20)
    assert (reference.n, reference.tokens_trained) == (1, 1000)


def test_experts_are_counted_by_their_records(make_study: MakeStudy) -> None:
    folder = make_study()
    record = {
        "fingerprint": "f",
        "shares": {"math": 1.0},
        "seed": 0,
        "n_tokens": 1000,
        "n_steps": 10,
        "repetitions": {"math": 1.0},
        "losses": {"1": 2.0},
        "seconds": 4.0,
        "versions": {"torch": "2.13.0"},
    }
    for name in ("math", "code"):
        (folder / "experts" / name).mkdir(parents=True)
        (folder / "experts" / name / "run.json").write_text(json.dumps(record))
    (folder / "experts" / "unfinished").mkdir()
    contents = load_contents(folder)
    assert (contents.spent[0].n, contents.spent[0].tokens_trained) == (2, 2000)
    assert contents.spent[0].seconds == 8.0
    assert contents.provenance["trained with torch"] == "2.13.0"

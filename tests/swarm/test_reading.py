from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mixwise.errors import DataError, RecipeError
from mixwise.swarm import Asked, parse_asked, parse_prior, parse_space, read_swarm

MIXTURES = "index,run,math,code,web\n1,a,0.5,0.3,0.2\n2,b,0.1,0.6,0.3\n3,c,0.2,0.2,0.6\n"
LOSSES = "index,run,val/loss,val/acc\n3,c,2.3,0.1\n1,a,2.1,0.4\n2,b,2.2,0.3\n"


def write(folder: Path, **texts: str) -> list[Path]:
    for name, text in texts.items():
        (folder / f"{name}.csv").write_text(text)
    return [folder / f"{name}.csv" for name in texts]


def test_by_hand_mixtures_and_scores_in_two_files_are_joined(tmp_path: Path) -> None:
    table = read_swarm(write(tmp_path, mixtures=MIXTURES, losses=LOSSES))
    assert table.domains == ("math", "code", "web")
    assert table.metrics == {"val/loss": "min", "val/acc": "max"}
    assert table.values.tolist() == [[2.1, 0.4], [2.2, 0.3], [2.3, 0.1]]
    assert table.shares[1].tolist() == [0.1, 0.6, 0.3]
    assert table.places[0] == f"{tmp_path}/mixtures.csv:2"
    assert table.n_alone == 0


def test_the_column_that_finds_most_runs_again_joins(tmp_path: Path) -> None:
    shifted = LOSSES.replace("3,c", "30,c").replace("1,a", "10,a").replace("2,b", "20,b")
    table = read_swarm(write(tmp_path, mixtures=MIXTURES, losses=shifted))
    assert table.values[:, 0].tolist() == [2.1, 2.2, 2.3]


def test_one_export_with_other_columns_beside(tmp_path: Path) -> None:
    rows = [
        {"name": "a", "math": 50, "web": 50, "step": 100, "eval/loss": 2.0, "note": None},
        {"name": "b", "math": 25, "web": 75, "step": 100, "eval/loss": "1.9", "note": "x"},
    ]
    path = tmp_path / "runs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = read_swarm([path], parse_asked("math, web", ["eval/loss"]))
    assert table.shares.tolist() == [[0.5, 0.5], [0.25, 0.75]]
    assert table.values[:, 0].tolist() == [2.0, 1.9]


def test_rounded_shares_are_divided_by_their_sum_which_is_kept(tmp_path: Path) -> None:
    text = "math,web,loss\n0.333,0.666,2\n0.5,0.505,1\n"
    table = read_swarm(write(tmp_path, runs=text))
    assert table.shares.sum(axis=1) == pytest.approx([1, 1])
    assert table.sums == pytest.approx((0.999, 1.005))


def test_runs_of_one_mixture_are_told(tmp_path: Path) -> None:
    text = "math,web,loss\n0.5,0.5,2\n0.2,0.8,1\n0.5,0.5,3\n"
    table = read_swarm(write(tmp_path, runs=text))
    assert table.mixture_of_run.tolist() == [0, 1, 0]
    assert table.runs_of(table.values[:, 0]) == [[2.0, 3.0], [1.0]]


def test_rows_without_a_counterpart_are_counted(tmp_path: Path) -> None:
    table = read_swarm(write(tmp_path, m=MIXTURES, l="".join(LOSSES.splitlines(True)[:3])))
    assert (len(table.shares), table.n_alone) == (2, 1)


@pytest.mark.parametrize(
    ("texts", "asked", "match"),
    [
        ({"r": "math,web,loss\n0.5,0.2,2\n0.1,0.1,1\n"}, Asked(), "no columns were found whose"),
        (
            {"r": "math,web,loss\n0.5,0.2,2\n0.5,0.5,1\n"},
            Asked(domains=("math", "web")),
            r"r\.csv:2: shares must be at least 0 and add up to 1 .* are 0\.5, 0\.2",
        ),
        (
            {"r": "math,web,loss\n0.5,0.5,2\n0.5,0.5,\n"},
            Asked(metrics={"loss": None}),
            r"r\.csv:3: the metric `loss` is empty",
        ),
        (
            {"r": "math,web,loss\n0.5,0.5,2\n0.5,0.5,nan\n"},
            Asked(metrics={"loss": None}),
            r"r\.csv:3: the metric `loss` is nan, which is no number",
        ),
        (
            {"r": "math,web,speed\n0.5,0.5,2\n0.5,0.5,1\n"},
            Asked(),
            "`speed` does not tell whether less or more",
        ),
        (
            {"r": "math,web,loss\n0.5,0.5,2\n0.5,0.5,1\n"},
            Asked(metrics={"los": None}),
            "metric `los` is no column of numbers: did you mean `loss`",
        ),
        (
            {"r": "math,web,loss\n0.5,0.5,2\n0.5,0.5,1\n"},
            Asked(domains=("math", "wep")),
            "the column `wep` is missing",
        ),
        ({"r": "math,web\n0.5,0.5\n0.5,0.5\n"}, Asked(), "no column of scores is left"),
        ({"m": "a,b\n0.5,0.5\n", "l": "loss\n1\n"}, Asked(), "no column in common"),
        ({"m": "i,a,b\n1,0.5,0.5\n", "l": "i,loss\n2,1\n"}, Asked(), "no rows .* equal in `i`"),
        ({"m": MIXTURES, "l": LOSSES}, Asked(by=("id",)), r"column `id` \(`--by`\) is not in"),
        (
            {"m": "i,a,b\n1,0.5,0.5\n1,0.2,0.8\n", "l": "i,loss\n1,1\n1,2\n"},
            Asked(),
            r"m\.csv:3: the row is equal in `i` to that of",
        ),
        ({"r": "math,web,loss\n"}, Asked(), "holds no rows"),
        (
            {"r": "math,web,lr,loss\n0.5,0.5,4e-4,2\n0.4,0.6,3e-4,1\n"},
            Asked(),
            r"column `lr` may be a share or not.*`--domains math,web`",
        ),
        (
            {"r": "math,web,seed,loss\n0.5,0.5,0,2\n0.4,0.6,0,1\n"},
            Asked(),
            r"column `seed` may be a share or not.*`--domains math,web`",
        ),
        (
            {"r": "math,web,loss,acc\n0.5,0.5,2,1\n0.4,0.6,nan,1\n"},
            Asked(),
            r"r\.csv:3: the metric `loss` is nan",
        ),
        (
            {"r": "math,web,loss,acc\n0.5,0.5,2,1\n0.4,0.6,diverged,1\n"},
            Asked(),
            r"r\.csv:3: the metric `loss` is diverged",
        ),
        (
            {"r": "math,web,acc,acc_stderr\n0.5,0.5,0.2,0.1\n0.4,0.6,0.3,0.1\n"},
            Asked(),
            "`acc_stderr` does not tell whether less or more",
        ),
        (
            {"r": "math,web,loss\n0.5,0.5,2\n0.4,0.6,1\n"},
            Asked(domains=("math", "web"), metrics={"web": "min"}),
            "`web` is no column of numbers",
        ),
        (
            {"r": "math,web,loss,loss\n0.5,0.5,2,3\n0.4,0.6,1,2\n"},
            Asked(),
            "two columns are named `loss`",
        ),
        (
            {"a": "i,a,b\n1,0.5,0.5\n", "b": "i,loss\n1,1\n", "c": "i,loss\n1,7\n"},
            Asked(),
            r"c\.csv:2: `loss` is 7, but in .*b\.csv:2 it is 1",
        ),
        (
            {"a": "i,a,b,loss\n1,0.5,0.5,2\n", "b": "i,loss,acc\n1,3,4\n"},
            Asked(),
            r"b\.csv:2: `loss` is 3, but in .*a\.csv:2 it is 2",
        ),
        (
            {"a": "i,a,b,loss\n1,0.5,0.5,2\n", "b": "i,a,b,loss\n2,0.4,0.6,3\n"},
            Asked(),
            r"b\.csv: has the same columns as .*a\.csv: .* put all runs into one",
        ),
        (
            {"a": "i,a,b\n,0.5,0.5\n", "b": "i,loss\n,3\n"},
            Asked(by=("i",)),
            r"a\.csv:2: the row has nothing in `i`",
        ),
    ],
)
def test_what_cannot_be_read_is_refused(
    texts: dict[str, str], asked: Asked, match: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=match):
        read_swarm(write(tmp_path, **texts), asked)


def test_a_score_between_0_and_1_that_was_named_is_no_share(tmp_path: Path) -> None:
    text = "math,web,gsm8k\n0.5,0.5,0.001\n0.2,0.8,0.01\n"
    table = read_swarm(write(tmp_path, r=text), parse_asked(metrics=["gsm8k:max"]))
    assert table.domains == ("math", "web")
    assert table.values[:, 0].tolist() == [0.001, 0.01]


def test_a_score_in_which_two_files_agree_is_kept(tmp_path: Path) -> None:
    texts = {"a": "i,a,b,loss\n1,0.5,0.5,2\n", "b": "i,loss,acc\n1,2.0,4\n"}
    table = read_swarm(write(tmp_path, **texts))
    assert dict(table.metrics) == {"loss": "min", "acc": "max"}


def test_long_numbers_that_tell_runs_apart_keep_their_digits(tmp_path: Path) -> None:
    first, second = 12345678901234567, 12345678901234568
    texts = {
        "a": f"id,a,b\n{first},0.5,0.5\n{second},0.2,0.8\n",
        "b": f"id,loss\n{second},2\n{first},1\n",
    }
    assert read_swarm(write(tmp_path, **texts)).values[:, 0].tolist() == [1, 2]


def test_plain_text_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "runs.txt").write_text("math,web,loss\n")
    with pytest.raises(DataError, match=r"runs\.txt: is plain text by its name, not a table"):
        read_swarm([tmp_path / "runs.txt"])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"runs\.csv: there is no such file"):
        read_swarm([tmp_path / "runs.csv"])


def test_directions_can_be_said() -> None:
    assert parse_asked(metrics=["a:min", "b/c:x", "d:max"]).metrics == {
        "a": "min",
        "b/c:x": None,
        "d": "max",
    }


def test_bounds_of_shares() -> None:
    space = parse_space(["a", "b"], ["a=0.1"], ["b=0.5"])
    assert np.allclose([space.lower, space.upper], [[0.1, 0], [1, 0.5]])


def test_limits_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(
        "bounds: {a: {min_share: 0.2}}\ngroups: {ab: {domains: [a, b], max_share: 0.7}}\n"
        "limits: [a <= 2 * b]\ngrid: 0.1\n"
        "cost: {per_million_tokens: {c: 10}, max_mean: 6}\n"
    )
    space = parse_space(["a", "b", "c"], ["a=0.1"], ["b=0.5"], limits=file)
    assert (space.lower, space.upper, space.grid) == ((0.2, 0.0, 0.0), (1.0, 0.5, 1.0), 0.1)
    assert [limit.name for limit in space.limits] == ["groups.ab", "a <= 2 * b", "cost.max_mean"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("groups: {ab: {domains: [a, x]}}", r"yaml: `groups.ab.domains.x`: not a domain"),
        ("limits: [a <= x]", r"yaml: `limits.0` \(`a <= x`\): `x` is neither a domain nor"),
        ("bound: {}", "yaml: `bound`: unknown key: did you mean `bounds`"),
        ("bounds: {a: {share: 0.6}, b: {share: 0.6}}", "yaml: `share` of the domains must add"),
        ("limits: [a >= 0.6, b >= 2 * a]", "yaml: limits of the shares clash: no"),
        ("cost: {per_million_tokens: {a: 1}, max_total: 3}", "use `cost.max_mean`"),
        ("cost: {per_million_tokens: {a: 1}}", "has no effect without `max_mean` or `max_total`"),
        ("- a", "limits must be a mapping of keys, but got list"),
    ],
)
def test_a_file_of_limits_that_fits_nothing_is_refused(
    tmp_path: Path, text: str, match: str
) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=match):
        parse_space(["a", "b"], limits=file)


@pytest.mark.parametrize(
    ("bounds", "match"),
    [
        (["b"], "the share is missing: write `b=0.3`"),
        (["b=half"], "the share must be a number"),
        (["c=0.5"], "`c` is not a domain"),
        (["b=0.5", "b=0.2"], "stands twice"),
    ],
)
def test_bounds_that_are_none_are_refused(bounds: list[str], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        parse_space(["a", "b"], largest=bounds)


def test_a_constant_share_without_which_rows_fall_short_is_a_share(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("math,web,rest,loss\n0.5,0.49,0.01,2\n0.402,0.59,0.01,1\n")
    table = read_swarm([path])
    assert table.domains == ("math", "web", "rest")
    assert table.fixed == {"rest": pytest.approx(0.01, abs=1e-4)}


def test_a_share_that_all_runs_have_is_called_so_where_it_clashes() -> None:
    with pytest.raises(RecipeError, match=r"`a` \(0.3\), `b` \(0.4\), `rest` \(0.2, all runs have"):
        parse_space(["a", "b", "rest"], largest=["a=0.3", "b=0.4"], fixed={"rest": 0.2})


def test_shares_that_differ_are_not_fixed(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text("math,web,rest,loss\n0.5,0.3,0.2,2\n0.4,0.39,0.21,1\n")
    assert read_swarm([path]).fixed == {}
    path.write_text("math,web,rest,loss\n0.5,0.3,0.2,2\n")
    assert read_swarm([path]).fixed == {}


def test_a_prior_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("prior: {shares: {a: 0.2, b: 0.8}, weight: 0.5}\n")
    found = parse_prior(["a", "b"], file)
    assert found is not None
    assert (found.mixture.as_dict(), found.weight) == ({"a": 0.2, "b": 0.8}, 0.5)
    file.write_text("prior: {shares: uniform, weight: 1}\n")
    uniform = parse_prior(["a", "b"], file)
    assert uniform is not None
    assert uniform.mixture.shares == (0.5, 0.5)
    file.write_text("grid: 0.1\n")
    assert parse_prior(["a", "b"], file) is None
    assert parse_prior(["a", "b"], None) is None


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("prior: {shares: available, weight: 1}", "tokens of the runs' domains are not known"),
        ("prior: {shares: {x: 1}, weight: 1}", "yaml: `prior.shares.x`: not a domain"),
        ("prior: {shares: {a: 1}, weight: 1}", "yaml: `prior.shares`: the prior must have a share"),
        ("prior: {shares: uniform, weight: 0}", "prior.weight"),
    ],
)
def test_a_prior_that_is_none_is_refused(tmp_path: Path, text: str, match: str) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=match):
        parse_prior(["a", "b"], file)


def test_bounds_of_a_file_free_a_share_that_all_runs_have_alike(tmp_path: Path) -> None:
    file = tmp_path / "limits.yaml"
    file.write_text("bounds: {a: {min_share: 0.3}}\n")
    space = parse_space(["a", "b", "c"], limits=file, fixed={"a": 0.1, "b": 0.2})
    assert (space.lower, space.upper) == ((0.3, 0.2, 0.0), (1.0, 0.2, 1.0))

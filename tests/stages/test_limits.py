"""A study within groups, limits, costs, steps of shares and a prior, from its check to its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.command_line import Cli

from mixwise.mixture import Limit, Mixture, MixtureSpace

LIMITS: dict[str, Any] = {
    "groups": {"latin": {"domains": ["alpha", "gamma"], "min_share": 0.3, "max_share": 0.6}},
    "limits": ["beta >= 1.5 * alpha"],
    "cost": {"per_million_tokens": {"alpha": 2.0, "beta": 8.0}, "max_mean": 6.0},
    "grid": 0.05,
    "prior": {"shares": "available", "weight": 0.05},
}


def write(folder: Path, search: dict[str, Any], **others: Any) -> Path:
    """Change the search of a folder's recipe."""
    path = folder / "recipe.yaml"
    values = yaml.safe_load(path.read_text()) | others
    values["search"] = values.get("search", {}) | search
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def space_of(names: tuple[str, ...]) -> MixtureSpace:
    """The same limits, written by hand."""
    latin = tuple(float(name in ("alpha", "gamma")) for name in names)
    row = tuple({"alpha": -1.5, "beta": 1.0}.get(name, 0.0) for name in names)
    cost = tuple({"alpha": 2.0, "beta": 8.0}.get(name, 0.0) for name in names)
    limits = (
        Limit("latin", latin, 0.3, 0.6),
        Limit("beta", row, 0.0, None),
        Limit("cost", cost, None, 6.0),
    )
    return MixtureSpace(names, (0.0,) * len(names), (1.0,) * len(names), limits, 0.05)


def shares_of(names: tuple[str, ...], row: dict[str, float]) -> Mixture:
    return Mixture(names, tuple(row[name] for name in names))


def test_check_names_limits_that_no_level_moves_along(pico: Path, mixwise: Cli) -> None:
    names = list(yaml.safe_load((pico / "recipe.yaml").read_text())["domains"])
    levels = {
        "method": "top-down",
        "hierarchy": {"some": names[:2]},
        "limits": [f"{names[0]} <= 0.9", f"{names[0]} = 2 * {names[2]}"],
    }
    code, out, err = mixwise("check", write(pico, levels))
    assert code == 0, err
    said = " ".join((out + err).split())
    tied = f"`{names[0]} = 2 * {names[2]}`"
    assert f"`search.method: top-down`: {tied} ties domains of several groups" in said
    assert f"`{names[0]} <= 0.9` ties" not in said


def test_a_study_stays_within_its_limits_and_says_so(
    pico: Path, tmp_path: Path, mixwise: Cli
) -> None:
    study = tmp_path / "study"
    references = {"mixtures": 4, "seeds": 1}
    recipe = write(
        pico, LIMITS, calibration={"mixtures": 2}, validation=references, final={"train": False}
    )
    code, out, err = mixwise("check", recipe)
    assert code == 0, err
    assert "the baseline uniform lies outside the limits" in out + err
    code, out, err = mixwise("run", recipe, "--study", study)
    assert code == 0, err
    found = json.loads((study / "recommendation.json").read_text())
    names = tuple(found["mixture"])
    space = space_of(names)
    search = json.loads((study / "search.json").read_text())
    calibration = json.loads((study / "calibration.json").read_text())
    validation = json.loads((study / "validation.json").read_text())
    trained = [
        row["proxy"]["mixture"] for part in (calibration, validation) for row in part["mixtures"]
    ]
    for row in (found["mixture"], *trained):
        mixture = shares_of(names, row)
        assert not space.broken(mixture)
        assert space.is_on_grid(mixture)
    inside = [row for row in search["candidates"] if row["within_bounds"]]
    assert inside
    assert all(space.contains(shares_of(names, row["score"]["mixture"])) for row in inside)
    assert [row["name"] for row in search["limits"]] == [
        "groups.latin",
        "beta >= 1.5 * alpha",
        "cost.max_mean",
    ]
    assert found["prior"]["divergence"] >= 0
    assert "The search stays close to" in out
    assert {row["name"] for row in found["baselines"]} >= {"uniform", "only beta"}
    code, out, _ = mixwise("score", study, "--mixture", "alpha=1", "--json")
    assert code == 0
    assert json.loads(out)[0]["outside"]
    code, out, _ = mixwise("score", study, "--mixture", "alpha=1")
    assert "outside the search's limits: `groups.latin` is 1, at most 0.6 is allowed" in out


def test_a_study_goes_on_when_its_limits_change(pico: Path, tmp_path: Path, mixwise: Cli) -> None:
    study = tmp_path / "study"
    nothing = {"calibration": {"mixtures": 0}, "validation": {"mixtures": 0}}
    recipe = write(pico, {"limits": ["beta <= 0.2"]}, **nothing, final={"train": False})
    assert mixwise("run", recipe, "--study", study)[0] == 0
    experts = {p: p.stat().st_mtime_ns for p in study.glob("experts/*/model.safetensors")}
    before = json.loads((study / "recommendation.json").read_text())["mixture"]
    write(pico, {"limits": ["beta >= 0.6"]})
    assert mixwise("run", recipe, "--study", study)[0] == 0
    after = json.loads((study / "recommendation.json").read_text())
    assert before["beta"] <= 0.2 + 1e-6
    assert after["mixture"]["beta"] >= 0.6 - 1e-6
    assert {p: p.stat().st_mtime_ns for p in study.glob("experts/*/model.safetensors")} == experts
    fresh = tmp_path / "fresh"
    assert mixwise("run", recipe, "--study", fresh)[0] == 0
    assert json.loads((fresh / "recommendation.json").read_text())["mixture"] == after["mixture"]


@pytest.mark.parametrize(
    ("search", "match"),
    [
        (
            {"limits": ["beta >= 2 * alpha"], "bounds": {"alpha": {"share": 0.4}}},
            "no mixture satisfies all of these, though it would without any one of them: `alpha` = "
            "0.4 (share); `beta >= 2 * alpha` (≥ 0): loosen or leave out one",
        ),
        (
            {"groups": {"both": {"domains": ["alpha", "beta"], "max_share": 0.2}}}
            | {"bounds": {"gamma": {"max_share": 0.5}}},
            "`gamma` ≤ 0.5 (max_share or repetition); `groups.both` (≤ 0.2): loosen",
        ),
        ({"limits": ["beta >= alfa"]}, "`search.limits.0` (`beta >= alfa`): `alfa` is neither"),
        ({"grid": 0.3}, "`grid` must divide 1, such as 0.05, but got 0.3: change it"),
    ],
)
def test_limits_that_clash_are_named_before_anything_is_trained(
    pico: Path, mixwise: Cli, search: dict[str, Any], match: str
) -> None:
    code, _, err = mixwise("check", write(pico, search))
    assert code == 1
    assert match in err.replace("\n", " ")

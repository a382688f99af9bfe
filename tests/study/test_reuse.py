"""A study that goes on with the runs of another one."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.command_line import Cli
from tests.conftest import sentences, write_texts

from mixwise.api import Study, check_recipe
from mixwise.data.blend import blend
from mixwise.errors import DamagedError, StudyError
from mixwise.files import CONTENT_HASH
from mixwise.mixture import Mixture
from mixwise.recipe import load_recipe
from mixwise.study import take_over as take_over_module
from mixwise.study.horizons import plan_horizons
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.kept_runs import KeptRuns, kept_from_json
from mixwise.study.reuse import find_kept_runs
from mixwise.training.job import load_record, save_record

RECIPE = """\
base: base
domains:
{domains}
horizon_tokens: 512
experts: {{horizon_tokens: 256, match_repetition: false}}
budget: {budget}
sequence_length: 16
evaluation: {{max_sequences: 6, batch_sequences: 6}}
training: {{learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu, seed: {seed}}}
calibration: {{mixtures: {calibration}}}
final: {{train: false}}
engine: {{workers: 1, threads: 1}}
"""


def recipe(
    folder: Path,
    names: tuple[str, ...],
    *,
    calibration: int = 0,
    budget: float = 4,
    seed: int = 0,
    old: str = "",
    new: str = "",
) -> Path:
    domains = "\n".join(f"  {name}: {{files: {name}.jsonl}}" for name in names)
    text = RECIPE.format(domains=domains, calibration=calibration, budget=budget, seed=seed)
    assert old in text
    path = folder / f"{'-'.join(names)}-{calibration}-{seed}-{len(new)}.yaml"
    path.write_text(text.replace(old, new) if old else text)
    return path


def run(folder: Path, path: Path, **options: Any) -> dict[str, Any]:
    with Study.create(folder, path, **options) as study:
        study.train_experts()
        study.search()
    content: dict[str, Any] = json.loads((folder / "recommendation.json").read_text())
    return content


def hashes(folder: Path) -> dict[str, str]:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {str(p): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


@pytest.fixture(scope="module")
def place(calm_base: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Base, data, and a study of three domains with a trained reference, `old`."""
    folder = tmp_path_factory.mktemp("reuse")
    shutil.copytree(calm_base, folder / "base")
    for name in ("alpha", "beta", "gamma"):
        write_texts(folder / f"{name}.jsonl", sentences(name, 0, 60))
    write_texts(folder / "delta.jsonl", sentences("beta", 3, 60))
    run(folder / "old", recipe(folder, ("alpha", "beta", "gamma"), calibration=1))
    return folder


@pytest.fixture
def source(place: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may change."""
    return Path(shutil.copytree(place, tmp_path / "place"))


def kept(folder: Path, path: Path) -> KeptRuns:
    inputs = Inputs(load_recipe(path), Settings(folder, folder / "cache"))
    return find_kept_runs(inputs, folder / "old")


def test_a_new_domain_costs_one_expert_and_the_answer_is_that_of_a_fresh_study(
    place: Path, tmp_path: Path
) -> None:
    path = recipe(place, ("alpha", "delta", "beta", "gamma"))  # in the middle
    before = hashes(place / "old")
    reused = run(tmp_path / "new", path, reuse=place / "old")
    assert hashes(place / "old") == before
    fresh = run(tmp_path / "fresh", path)
    trained = [load_record(tmp_path / "new" / "experts" / name) for name in reused["mixture"]]
    own = [record for record in trained if record is not None and not record.taken_from]
    assert [record.repetitions["delta"] > 0 for record in own] == [True]
    assert reused.pop("cost")["trained_tokens"]["experts"] == 256
    assert fresh.pop("cost")["trained_tokens"]["experts"] == 4 * 256
    for name in reused["mixture"]:
        files = [tmp_path / s / "experts" / name / "model.safetensors" for s in ("new", "fresh")]
        assert files[0].read_bytes() == files[1].read_bytes()
    # the reused study has a reference more: it knows what the proxy misses, the fresh one does not
    assert reused["reference"]["n_references"] == 1
    assert fresh["reference"]["n_references"] == 0
    for key in ("proxy", "baselines", "provenance", "horizons"):
        assert _without_expected(reused[key]) == _without_expected(fresh[key])


def _without_expected(value: Any) -> Any:
    if isinstance(value, list):
        return [_without_expected(item) for item in value]
    if isinstance(value, dict):
        own = {"expected", "standing"}
        return {key: _without_expected(item) for key, item in value.items() if key not in own}
    return value


def test_without_references_the_recommendation_is_the_same_to_the_byte(
    source: Path, tmp_path: Path
) -> None:
    shutil.rmtree(source / "old" / "references")
    path = recipe(source, ("alpha", "beta", "gamma", "delta"))
    run(tmp_path / "new", path, reuse=source / "old")
    run(tmp_path / "fresh", path)
    texts = [(tmp_path / s / "recommendation.json").read_text() for s in ("new", "fresh")]
    contents = [json.loads(text) for text in texts]
    for content in contents:
        del content["cost"], content[CONTENT_HASH]
    assert json.dumps(contents[0]) == json.dumps(contents[1])
    assert (tmp_path / "new" / "search.json").read_bytes() == (
        tmp_path / "fresh" / "search.json"
    ).read_bytes()


def test_the_references_of_the_other_study_are_scored_and_not_trained(
    place: Path, tmp_path: Path
) -> None:
    path = recipe(place, ("alpha", "beta", "gamma", "delta"))
    with Study.create(tmp_path / "new", path, reuse=place / "old") as study:
        study.train_experts()
        [reference] = study.workspace.kept_references
        mixture = Mixture.uniform(study.domains, ("alpha", "beta", "gamma"))
        assert reference.proxy.mixture == mixture
        [run] = reference.runs
        assert "delta/loss" in run.values  # on a set that the other study did not have
        assert run.tokens_trained == 0  # here
        job = study.workspace.runs.job(mixture, run.seeds[0])
    record = load_record(job.output)
    assert record is not None
    assert record.taken_from
    old = place / "old" / record.taken_from
    assert (old / "model.safetensors").read_bytes() == (
        job.output / "model.safetensors"
    ).read_bytes()


def test_a_domain_that_is_gone_takes_its_mixtures_with_it(place: Path) -> None:
    found = kept(place, recipe(place, ("alpha", "gamma")))
    assert dict(found.experts) == {"alpha": None, "gamma": None}
    assert found.references == ()
    assert found.dropped == (
        "`beta` is no domain any more: its expert is left",
        "1 run(s) beside the experts are left: they have a share of `beta`, which is no domain any "
        "more",
    )


def test_a_domain_by_another_name_is_another_domain(place: Path) -> None:
    shutil.copyfile(place / "beta.jsonl", place / "bêta.jsonl".replace("ê", "ee"))
    found = kept(place, recipe(place, ("alpha", "beeta", "gamma")))
    assert list(found.experts) == ["alpha", "gamma"]
    assert "`beeta` is new: its expert is trained" in found.dropped
    assert "`beta` is no domain any more: its expert is left" in found.dropped


def test_a_changed_file_drops_its_expert_and_every_mixture_with_a_share_of_it(source: Path) -> None:
    write_texts(source / "beta.jsonl", sentences("beta", 7, 60))
    found = kept(source, recipe(source, ("alpha", "beta", "gamma", "delta")))
    assert list(found.experts) == ["alpha", "gamma"]
    assert found.references == ()
    text = "\n".join(found.dropped)
    assert "the expert of `beta` was trained on other data of `beta`: it is trained anew" in text
    assert "1 run(s) beside the experts are left: they on other data" not in text
    assert "1 run(s) beside the experts are left: they were trained on other data of" in text


def change_base(folder: Path) -> None:
    config = json.loads((folder / "base" / "config.json").read_text())
    config["rms_norm_eps"] = 1e-5
    (folder / "base" / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    ("change", "options"),
    [
        (change_base, {}),
        (lambda folder: None, {"old": "3.0e-3", "new": "4.0e-3"}),
        (lambda folder: None, {"old": "sequence_length: 16", "new": "sequence_length: 32"}),
        (lambda folder: None, {"seed": 5}),
    ],
)
def test_another_base_or_other_training_leaves_nothing_and_says_so(
    source: Path, change: Callable[[Path], None], options: dict[str, Any]
) -> None:
    change(source)
    found = kept(source, recipe(source, ("alpha", "beta", "gamma"), **options))
    assert dict(found.experts) == {}
    assert (found.references == ()) == (options.get("seed") is None)  # whose seed is its own
    assert sum("it is trained anew" in line for line in found.dropped) == 3
    assert found.lines()[0].startswith("reuse: no expert is taken from ")


def test_experts_keep_their_horizon_unless_the_recipe_names_another(place: Path) -> None:
    names = ("alpha", "beta", "gamma", "delta")
    free = recipe(place, names, old="horizon_tokens: 256, ", new="", budget=0.25)
    found = kept(place, free)
    assert (found.expert_steps, len(found.experts)) == (4, 3)
    horizons = plan_horizons(load_recipe(free), kept_steps=4, n_kept=3)
    assert (horizons.expert_steps, horizons.n_experts, horizons.n_kept) == (4, 1, 3)
    assert horizons.price == 4 / 8
    other = recipe(place, names, old="horizon_tokens: 256", new="horizon_tokens: 128")
    found = kept(place, other)
    assert dict(found.experts) == {}
    assert "has 4 steps, but 2 are asked for" in found.dropped[1]


def test_another_final_horizon_keeps_experts_and_no_mixtures(place: Path) -> None:
    path = recipe(
        place, ("alpha", "beta", "gamma"), old="horizon_tokens: 512", new="horizon_tokens: 1024"
    )
    found = kept(place, path)
    assert len(found.experts) == 3
    assert found.references == ()
    assert found.dropped == (
        "1 run(s) beside the experts are left: they are of 8 steps, but the final run has 16",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("warmup_steps: 1", "warmup_steps: 1, schedule: cosine"),  # which experts do not follow
        ("horizon_tokens: 512", "horizon_tokens: 1024"),
        ("3.0e-3", "9.0e-3"),
    ],
)
def test_a_recipe_that_changes_later_does_not_rename_what_was_taken(
    place: Path, tmp_path: Path, old: str, new: str
) -> None:
    path = recipe(place, ("alpha", "beta", "gamma", "delta"))
    with Study.create(tmp_path / "new", path, reuse=place / "old") as study:
        study.check()
    shutil.rmtree(tmp_path / "new" / "experts")  # as the refusal of an expert asks for
    changed = path.with_name(f"changed-{len(new)}.yaml")
    changed.write_text(path.read_text().replace(old, new))
    with (
        Study.create(tmp_path / "new", changed) as study,
        pytest.raises(StudyError, match="with other data or settings than are asked for now"),
    ):
        study.check()
    taken = [load_record(folder) for folder in (tmp_path / "new" / "references").iterdir()]
    assert [record.n_steps for record in taken if record] == [8]  # the one that was valid


def test_a_study_goes_on_with_runs_of_one_other(source: Path, tmp_path: Path) -> None:
    path = recipe(source, ("alpha", "beta", "gamma", "delta"))
    with Study.create(tmp_path / "new", path, reuse=source / "old") as study:
        study.check()
    with Study.create(tmp_path / "new", path, reuse=source / "old") as study:
        study.check()
    (source / "old").rename(source / "third")
    with (
        pytest.raises(StudyError, match=r"goes on with runs of .*old already, so .*third"),
        Study.create(tmp_path / "new", path, reuse=source / "third"),
    ):
        pass


def test_another_order_keeps_experts_and_no_mixtures(place: Path) -> None:
    found = kept(place, recipe(place, ("gamma", "beta", "alpha")))
    assert len(found.experts) == 3
    assert found.references == ()
    assert "have their domains in another order" in found.dropped[-1]


def test_a_damaged_expert_is_named_and_trained_anew(source: Path) -> None:
    weights = source / "old" / "experts" / "beta" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    found = kept(source, recipe(source, ("alpha", "beta", "gamma")))
    assert list(found.experts) == ["alpha", "gamma"]
    assert any("is not the file that was trained" in line for line in found.dropped)


def test_runs_without_hashes_are_taken_and_left_as_they_are(source: Path, tmp_path: Path) -> None:
    for folder in (source / "old" / "experts").glob("[a-z]*/"):
        record = load_record(folder)
        assert record is not None
        save_record(record.model_copy(update={"files": {}}), folder)  # of an older mixwise
    before = hashes(source / "old")
    path = recipe(source, ("alpha", "beta", "gamma"))
    with Study.create(tmp_path / "new", path, reuse=source / "old") as study:
        study.train_experts()
    assert hashes(source / "old") == before
    taken = load_record(tmp_path / "new" / "experts" / "alpha")
    assert taken is not None
    assert taken.taken_from
    assert taken.files


def test_a_domain_that_was_not_trained_there_is_called_so(source: Path) -> None:
    path = recipe(source, ("alpha", "beta", "gamma", "delta"))
    given = source / "old" / "recipe.yaml"
    shutil.move(source / "old" / "experts" / "beta", source / "brought")
    shutil.rmtree(source / "old" / "experts" / "gamma")
    text = given.read_text()
    assert "beta.jsonl}" in text
    given.write_text(text.replace("beta.jsonl}", "beta.jsonl, expert: brought}"))
    dropped = kept(source, path).dropped
    assert "`beta` had an expert that was brought: its expert is trained" in dropped
    assert "`gamma` was not trained there: its expert is trained" in dropped
    assert "`delta` is new: its expert is trained" in dropped


def test_a_killed_take_over_is_gone_on_with(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, new = recipe(place, ("alpha", "beta", "gamma", "delta")), tmp_path / "new"
    save, n_saved = take_over_module.save_record, 0

    def die(*arguments: Any) -> None:
        nonlocal n_saved
        n_saved += 1
        if n_saved == 2:
            raise KeyboardInterrupt
        save(*arguments)

    monkeypatch.setattr(take_over_module, "save_record", die)
    with pytest.raises(KeyboardInterrupt), Study.create(new, path, reuse=place / "old") as study:
        study.check()
    assert load_record(new / "experts" / "alpha") is not None
    assert load_record(new / "experts" / "beta") is None
    monkeypatch.undo()
    with Study.create(new, path, reuse=place / "old") as study:
        study.check()
    assert not list(new.rglob("*.partial"))
    with Study.open(new) as study:  # and later without being told again
        assert study.workspace.inputs.horizons.n_kept == 3
        study.train_experts()
        own = [n for n in study.domains if not _record(new, n).taken_from]
    assert own == ["delta"]


def _record(folder: Path, name: str) -> Any:
    return load_record(folder / "experts" / name)


def test_a_check_tells_the_price_of_what_is_trained_anew(place: Path, tmp_path: Path) -> None:
    path = recipe(place, ("alpha", "beta", "gamma", "delta"))
    checked = check_recipe(path, tmp_path / "new", reuse=place / "old")
    assert (checked.plan.n_experts, checked.plan.n_kept) == (1, 3)
    assert checked.plan.price == 0.5
    assert checked.reused[0].startswith("reuse: 3 expert(s) of 4 steps are taken from ")
    assert not (tmp_path / "new").exists()


def test_the_command_line_says_what_is_kept(place: Path, tmp_path: Path, mixwise: Cli) -> None:
    path = recipe(place, ("alpha", "beta", "gamma", "delta"))
    code, out, err = mixwise("check", path, "--study", tmp_path / "new", "--reuse", place / "old")
    assert code == 0, err
    text = " ".join(out.split())
    assert "note: reuse: 3 expert(s) of 4 steps are taken from" in text
    assert "note: reuse: `delta` is new: its expert is trained" in text
    assert "1 of 256 tokens (4 steps): 0.50 final runs; 3 of another study are kept" in text
    code, _, err = mixwise("run", path, "--study", place / "old")
    assert code == 1
    assert f"with `--reuse {place / 'old'}` to keep what is still valid" in err


def test_a_study_does_not_reuse_itself_or_what_is_none(place: Path, tmp_path: Path) -> None:
    path = recipe(place, ("alpha", "beta", "gamma"))
    with pytest.raises(StudyError, match="a study cannot reuse itself"):
        check_recipe(path, place / "old", reuse=place / "old")
    with pytest.raises(StudyError, match="no study here"):
        check_recipe(path, tmp_path / "new", reuse=tmp_path)


def test_what_was_kept_survives_its_file_and_another_form_is_refused() -> None:
    found = KeptRuns("old", 4, {"a": None, "b": 7}, (), ("why",))
    assert kept_from_json(json.loads(json.dumps(found.to_json())), "study.json") == found
    with pytest.raises(StudyError, match=r"study\.json: `kept` is that of another mixwise"):
        kept_from_json({"source": 3}, "study.json")


def test_damage_while_taking_over_is_refused(source: Path, tmp_path: Path) -> None:
    path = recipe(source, ("alpha", "beta", "gamma", "delta"))
    with Study.create(tmp_path / "new", path, reuse=source / "old") as study:
        weights = source / "old" / "experts" / "beta" / "model.safetensors"
        weights.unlink()
        with pytest.raises(DamagedError, match="is missing"):
            study.check()


@given(st.integers(0, 3), st.integers(0, 1000), st.integers(1, 40))
def test_a_domain_without_a_share_changes_nothing_in_a_run(place: int, seed: int, n: int) -> None:
    names, rng = ["a", "b", "c"], np.random.default_rng(seed)
    shares = dict(zip(names, rng.dirichlet(np.ones(3)).round(3), strict=True))
    shares["c"] = round(1 - shares["a"] - shares["b"], 3)
    wider = [*names[:place], "new", *names[place:]]
    available = {"a": 5, "b": 9, "c": 30, "new": 4}
    one = blend(Mixture(tuple(names), tuple(shares.values())), n, available, seed=seed)
    two = blend(
        Mixture(tuple(wider), tuple(shares.get(name, 0.0) for name in wider)),
        n,
        available,
        seed=seed,
    )
    assert [names[i] for i in one.domain] == [wider[i] for i in two.domain]
    assert one.row.tolist() == two.row.tolist()

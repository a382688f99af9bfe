import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from tests.command_line import edit_text
from tests.conftest import sentences, write_rows, write_texts
from tests.evaluation.test_sets import CONFIDENCE, Confidence

import mixwise
from mixwise.api import Study, check_recipe
from mixwise.errors import RecipeError, StudyError
from mixwise.export.exporters import EXPORTERS
from mixwise.kinds import KINDS
from mixwise.mixture import Mixture
from mixwise.report.reading import load_contents
from mixwise.search.front import most_scored
from mixwise.study.results import (
    FinalFound,
    Recommendation,
    ValidationFound,
)

DOMAINS = ("alpha", "beta", "gamma")


@pytest.fixture
def cached(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MIXWISE_CACHE", str(tmp_path / "cache"))


@pytest.mark.usefixtures("cached")
def test_from_a_recipe_to_a_recommendation_and_a_figure(pico: Path, tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with Study.create(folder, pico / "recipe.yaml") as study:
        assert study.recommendation is None
        study.train_experts()
        recommendation = study.search()
        [uniform, corner] = study.score([Mixture.uniform(DOMAINS), {"alpha": 1.0}])
        table = study.candidates()
        figure = study.figure("mixture")
    assert isinstance(recommendation, Recommendation)
    assert study.recommendation == recommendation  # results are read without opening the study
    assert uniform.mixture == Mixture.uniform(DOMAINS)
    assert corner.mixture == Mixture.single(DOMAINS, "alpha")
    found = load_contents(folder).search
    assert found is not None
    assert list(table["objective"]) == [row.score.objective for row in found.candidates]
    assert {"share of alpha", "name", "mixed/loss"} <= set(table.columns)
    assert list(figure.data[0].x) == list(recommendation.mixture.shares)
    assert recommendation.answer in study._repr_html_()


@pytest.mark.usefixtures("cached")
def test_the_stages_of_the_command_line_are_methods(
    pico: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    edit_text(pico / "recipe.yaml", "{mixtures: 4, seeds: 2}", "{mixtures: 4, seeds: 1}")
    edit_text(pico / "recipe.yaml", "engine:", "final: {seeds: 1, baselines: [uniform]}\nengine:")
    with Study.create(tmp_path / "study", pico / "recipe.yaml", progress=True) as study:
        assert study.check().plan.seconds > 0
        assert set(study.train_experts()) == set(DOMAINS)
        assert isinstance(study.validate(), ValidationFound)
        final = study.train()
    assert "finished in" in capfd.readouterr().err  # without a terminal, progress is lines
    assert isinstance(final, FinalFound)
    with Study.open(tmp_path / "study", read_only=True) as reading:
        assert reading.final == final
        recommendation = reading.recommendation
        assert recommendation is not None
        assert recommendation.outcome == final.outcome
        assert final.rows[0].proxy.mixture == recommendation.mixture
        assert reading.figure("agreement", "mixed/loss").data
        assert reading.report(tmp_path / "page.html").is_file()


PAIRS = """\
base: base
domains:
  alpha: {files: alpha.jsonl, records: prompt-completion}
  beta: {files: beta.jsonl, records: prompt-completion, fields: {prompt: q, completion: a}}
  gamma: {files: texts.jsonl}
horizon_tokens: 256
sequence_length: 16
evaluation:
  sets:
    lines: {files: lines.jsonl, records: prompt-completion, kind: greedy}
    sure: {kind: confidence}
  max_sequences: 8
  batch_sequences: 4
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
objective:
  metrics:
    - {set: sure, measure: confidence}
    - {set: lines, measure: token_accuracy}
    - {set: alpha, measure: loss}
budget: 3
calibration: {mixtures: 0}
verify: true
validation: {mixtures: 0}
engine: {workers: 1, threads: 1}
"""


@pytest.fixture
def registered() -> Iterator[None]:
    """A kind and an exporter of ones own."""
    kinds, exporters = dict(KINDS._rows), dict(EXPORTERS._rows)
    mixwise.register_kind(
        mixwise.EvaluationKind(
            "confidence", (CONFIDENCE,), lambda opening: Confidence(opening.name)
        )
    )
    mixwise.register_exporter(
        mixwise.Exporter(
            "weights",
            "a line per domain",
            "weights.txt",
            lambda recommendation, _: mixwise.Export(
                [f"{name} {share}" for name, share in recommendation.mixture.as_dict().items()]
            ),
        )
    )
    yield
    KINDS._rows, EXPORTERS._rows = kinds, exporters


def pairs(name: str, seed: int, n: int, prompt: str, completion: str) -> list[dict[str, object]]:
    halves = [text.split(" ", 4) for text in sentences(name, seed, n)]
    return [{prompt: " ".join(words[:4]), completion: " " + words[4]} for words in halves]


@pytest.mark.usefixtures("cached", "registered")
def test_prompts_with_completions_and_a_measure_of_ones_own(pico: Path, tmp_path: Path) -> None:
    write_rows(pico / "alpha.jsonl", pairs("alpha", 0, 60, "prompt", "completion"))
    write_rows(pico / "beta.jsonl", pairs("beta", 0, 60, "q", "a"))
    write_texts(pico / "texts.jsonl", sentences("gamma", 0, 60))
    write_rows(pico / "lines.jsonl", pairs("beta", 1, 10, "prompt", "completion"))
    (pico / "recipe.yaml").write_text(PAIRS)
    with Study.create(tmp_path / "study", pico / "recipe.yaml") as study:
        checked = study.check()
        study.train_experts()
        recommendation = study.search()
        diagnosis = study.diagnose()
        [uniform] = study.score([Mixture.uniform(DOMAINS)])
        weights = Path(study.export("weights")["file"]).read_text().splitlines()
        stream = Path(study.export("stream")["file"]).read_text().splitlines()
        report = study.report().read_text()
    assert "training tokens are learned" in checked.notes[0]
    assert not any("gamma" in note for note in checked.notes)
    [uneven] = [text for text in checked.warnings if text.startswith("`domains`: 100 % of the tok")]
    assert "of `gamma` are learned, but only" in uneven
    assert list(uniform.values) == [
        *(f"{name}/{measure}" for name in DOMAINS for measure in ("loss", "bits_per_byte")),
        *("lines/greedy_match", "lines/token_accuracy", "sure/confidence"),
    ]
    assert 0 < uniform.values["lines/token_accuracy"] < 1
    assert "set of which nothing has slopes" in " ".join(diagnosis.trust.reasons)
    assert set(recommendation.proxy.metrics) == set(uniform.values)
    assert [line.split()[0] for line in weights] == list(DOMAINS)
    rows = [json.loads(line) for line in stream]
    masked = [row["domain"] for row in rows if -100 in row["labels"][1:]]
    assert "gamma" not in masked
    assert set(masked) == {row["domain"] for row in rows} - {"gamma"}
    for row in rows:
        assert all(
            label in (-100, token)
            for label, token in zip(row["labels"], row["input_ids"], strict=True)
        )
    assert "sure/confidence" in report


def test_a_set_that_brings_its_examples_takes_no_files(registered: None, pico: Path) -> None:
    text = PAIRS.replace("{kind: confidence}", "{kind: confidence, files: a.jsonl}")
    (pico / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match="`files` has no effect on a set that brings its own"):
        mixwise.load_recipe(pico / "recipe.yaml")
    text = PAIRS.replace("batch_sequences: 4\n", "batch_sequences: 4\n  placement: layers\n", 1)
    (pico / "recipe.yaml").write_text(text)
    with pytest.raises(RecipeError, match="a greedy set is given the whole model") as error:
        mixwise.load_recipe(pico / "recipe.yaml")
    assert "a confidence set is given the whole model" in str(error.value)


@pytest.mark.usefixtures("cached")
def test_what_cannot_be_is_said(pico: Path, tmp_path: Path) -> None:
    study = Study.create(tmp_path / "study", pico / "recipe.yaml")
    with pytest.raises(StudyError, match="the study is not open: work with it in a block"):
        study.search()
    with study:
        with pytest.raises(StudyError, match="nothing is scored yet: run"):
            study.candidates()
        with pytest.raises(StudyError, match="there is no chart `mixture`"):
            study.figure()
        with pytest.raises(StudyError, match="another mixwise"):
            Study.create(tmp_path / "study", pico / "recipe.yaml").__enter__()
        with pytest.raises(RecipeError, match="`delta`"):
            study.score([{"delta": 1.0}])
    with pytest.raises(StudyError, match="no study here"):
        Study.open(tmp_path / "none")
    with pytest.raises(ValueError, match="either `progress` or functions of your own"):
        Study.open(tmp_path / "study", progress=True, on_progress=print)


def test_every_public_name_is_there_and_listed() -> None:
    for name in mixwise.__all__:
        assert getattr(mixwise, name) is not None
    assert set(dir(mixwise)) == set(mixwise.__all__)
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = mixwise.nothing


def test_the_package_loads_next_to_nothing() -> None:
    code = "import sys, mixwise; print(len([m for m in sys.modules if m.startswith('mixwise')]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) == 1


@pytest.mark.parametrize(
    ("name", "said"), [("own_runs", "Train on 47 % math"), ("own_measure", "echo/repeated")]
)
def test_examples_run(name: str, said: str, tmp_path: Path) -> None:
    path = Path(__file__).parents[1] / "examples" / f"{name}.py"
    command = [sys.executable, str(path), str(tmp_path / "study")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said in done.stdout


@pytest.mark.usefixtures("cached")
def test_results_of_another_recipe_are_not_these(pico: Path, tmp_path: Path) -> None:
    recipe, folder = pico / "recipe.yaml", tmp_path / "study"
    with Study.create(folder, recipe) as study:
        study.train_experts()
        study.search()
    recipe.write_text(recipe.read_text() + "\nsearch: {seed: 7}\n")
    with Study.create(folder, recipe) as study:
        assert study.recommendation is study.found is None
        assert study.search() == study.recommendation
    with (
        Study.open(folder, read_only=True) as reading,
        pytest.raises(StudyError, match="the study is open for reading: open it without"),
    ):
        reading.search()


FRONT = """
objective:
  metrics:
    - {set: alpha, measure: loss, group: first}
    - {set: beta, measure: loss, group: others}
    - {set: gamma, measure: loss, group: others}
  front: [first, others]
search: {prefer: none}
"""


@pytest.mark.usefixtures("cached")
def test_a_front_comes_with_the_recommendation_and_costs_no_training(
    pico: Path, tmp_path: Path
) -> None:
    recipe = yaml.safe_load((pico / "recipe.yaml").read_text()) | yaml.safe_load(FRONT)
    (pico / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    folder = tmp_path / "study"
    with Study.create(folder, pico / "recipe.yaml") as study:
        study.train_experts()
        found = study.search()
        before = (folder / "recommendation.json").read_bytes()
        study.search()
        table, figure = study.front(), study.figure("front")
    assert (folder / "recommendation.json").read_bytes() == before
    front = found.front
    assert front is not None
    assert front.groups == ("first", "others")
    assert front.n_scored > 0
    assert front.recommended.score.mixture == found.mixture
    assert front.points[0].score.mixture == Mixture.single(DOMAINS, "alpha")
    assert list(table["first"])[:-1] == [point.gains[0] for point in front.points]
    assert list(table["recommended"]) == [False] * len(front.points) + [True]
    assert list(figure.data[1].x) == [point.gains[0] for point in front.points]
    for point in front.points:
        assert all(low <= high for low, high in point.intervals_95)


@pytest.mark.usefixtures("cached")
def test_the_plan_counts_what_a_front_scores(pico: Path, tmp_path: Path) -> None:
    path = pico / "recipe.yaml"
    given = yaml.safe_load(path.read_text()) | yaml.safe_load(FRONT)
    objective = {"metrics": given["objective"]["metrics"]}
    counted = []
    for recipe in (given, given | {"objective": objective}):
        path.write_text(yaml.safe_dump(recipe, sort_keys=False))
        counted.append(check_recipe(path, tmp_path / "study").plan.n_candidates)
    assert counted[0] - counted[1] == most_scored(2)


@pytest.mark.usefixtures("cached")
def test_a_study_without_groups_has_no_front(pico: Path, tmp_path: Path) -> None:
    study = Study.create(tmp_path / "study", pico / "recipe.yaml")
    with pytest.raises(StudyError, match=r"there is no front: name groups .* `objective.front`"):
        study.front()
    with pytest.raises(StudyError, match="there is no chart `front`"):
        study.figure("front")


GRADER = """\
def brevity(text, answers):
    return -len(text)
"""


@pytest.mark.usefixtures("cached")
def test_answers_graded_by_a_function_cost_what_was_written(pico: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"one two {k}", "answer": "three"} for k in range(6)]
    write_rows(pico / "say.jsonl", rows)  # type: ignore[arg-type]
    module = f"own_grades_{tmp_path.name}"
    (pico / f"{module}.py").write_text(GRADER)
    recipe = yaml.safe_load((pico / "recipe.yaml").read_text())
    recipe["evaluation"]["sets"]["say"] = {
        "files": "say.jsonl",
        "kind": "generation",
        "measures": ["function"],
        "function": f"{module}:brevity",
        "max_new_tokens": 12,
        "stop": ["\ufffd"],
    }
    recipe["objective"] = {"metrics": [{"set": "say", "measure": "function"}]}
    (pico / "recipe.yaml").write_text(yaml.safe_dump(recipe, sort_keys=False))
    with Study.create(tmp_path / "study", pico / "recipe.yaml", trust_remote_code=True) as study:
        study.train_experts()
        [found] = study.score([Mixture.uniform(DOMAINS)])
        base = study.workspace.base_observation
        suite = study.workspace.inputs.suite
    written, by_base = (o.measurement("say/tokens_written").examples.sum() for o in (found, base))
    assert 6 <= written < 6 * 12
    assert found.tokens_evaluated - written == base.tokens_evaluated - by_base
    assert found.tokens_evaluated < suite.n_tokens
    assert found.values["say/function"] <= 0

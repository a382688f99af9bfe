"""Domains whose labels differ, a head each, through the whole program and against plain torch."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
import torch
from peft import PeftModel
from pyarrow import parquet
from safetensors.torch import save_file
from sklearn.metrics import f1_score
from tests.command_line import Cli
from tests.study.test_text_classification import (
    NOUNS,
    RECIPE,
    WORDS,
    inputs_of,
    load,
    require_slopes,
    save_base,
)

from mixwise.errors import CheckpointError, DataError, MixwiseError, RecipeError
from mixwise.mixture import Mixture
from mixwise.stages.check import require_inputs
from mixwise.stages.merge import merge_study
from mixwise.stages.notes import notes_of
from mixwise.stages.units import UnitSettings, measure_study_units
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.session import Workspace
from mixwise.training.finetune import finetune
from mixwise.training.job import TrainingJob

OF_DOMAINS = {
    "films": ("neg", "pos"),
    "books": ("1", "2", "3"),
    "songs": ("neg", "pos"),
}
ROWS = {"films": slice(0, 2), "books": slice(2, 5), "songs": slice(5, 7)}
NAMES = tuple(f"{name}/{label}" for name, labels in OF_DOMAINS.items() for label in labels)
PER_DOMAIN = RECIPE.replace(
    "task: text-classification", "task: text-classification\nlabels: per-domain"
)
CLASSIFIER = "classifier"


def rated(noun: str, labels: tuple[str, ...], n: int) -> list[dict[str, str]]:
    rng, rows = random.Random(noun), []
    for _ in range(n):
        label = rng.choice(labels)
        word = WORDS[labels.index(label) * 8 // len(labels)]
        rows.append({"text": " ".join([*rng.choices(WORDS[12:], k=5), noun, word]), "label": label})
    return rows


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("\n".join(map(json.dumps, rows)))


@pytest.fixture(params=["bert"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    save_base(tmp_path / "base", request.param, num_labels=len(NAMES))
    for name, labels in OF_DOMAINS.items():
        write_rows(tmp_path / f"{name}.jsonl", rated(NOUNS[name], labels, 60))
    (tmp_path / "recipe.yaml").write_text(PER_DOMAIN)
    return tmp_path


def workspace_of(job: Path, text: str = PER_DOMAIN) -> Workspace:
    study = StudyFolder.create(job / "study", job / "recipe.yaml")
    study.save_recipe(text)
    return Workspace(study, Settings(recipe_folder=job, cache=job / "cache"))


@pytest.fixture
def trained(job: Path) -> Iterator[Workspace]:
    workspace = workspace_of(job)
    with workspace.study.lock():
        workspace.runs.train_experts()
        yield workspace
        workspace.close()


def by_hand(model: Any, inputs: Inputs, name: str, head: str) -> dict[str, float]:
    """Every metric of a set whose rows are read with one head, one example after the other."""
    table = inputs.corpus(name).heldout_examples(8, inputs.overlap(name))
    rows, losses, answers = ROWS[head], [], []
    labels = [int(label) - rows.start for label in table.labels]
    for ids, length, label in zip(table.ids, table.lengths, labels, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(ids[:length].astype(int))[None]).logits[0, rows]
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(label))))
        answers.append(int(logits.argmax()))
    right = np.array(answers) == np.array(labels)
    held = sorted(set(labels))
    of_each = [np.mean(right[np.array(labels) == each]) for each in held]
    return {
        f"{name}/loss": float(np.mean(losses)),
        f"{name}/accuracy": float(np.mean(right)),
        f"{name}/balanced_accuracy": float(np.mean(of_each)),
        f"{name}/macro_f1": float(f1_score(labels, answers, labels=held, average="macro")),
    }


def merge_by_hand(base: Any, experts: Mapping[str, Any], mixture: Mixture) -> Any:
    """The body by the shares; of the head's last layer each domain's rows from its own expert."""
    states = {name: expert.state_dict() for name, expert in experts.items()}
    shares, merged = mixture.as_dict(), {}
    for key, before in base.state_dict().items():
        if key.startswith(f"{CLASSIFIER}."):
            merged[key] = before.clone()
            for name, rows in ROWS.items():
                if shares[name]:
                    merged[key][rows] = states[name][key][rows]
        else:
            merged[key] = sum(share * states[name][key] for name, share in shares.items())
    base.load_state_dict(merged)
    return base


MIXTURES = ((0.5, 0.25, 0.25), (0.6, 0.4, 0.0), (1.0, 0.0, 0.0))


def require_as_by_hand(workspace: Workspace, job: Path, experts: Mapping[str, Any]) -> None:
    names = workspace.recipe.domain_names
    for shares in MIXTURES:
        mixture = Mixture(names, shares)
        model = merge_by_hand(load(job / "base"), experts, mixture)
        [found] = workspace.proxy.score([mixture])
        expected: dict[str, float] = {}
        for name in names:
            expected |= by_hand(model, workspace.inputs, name, name)
        assert found.values == pytest.approx(expected, abs=1e-6)
    films = by_hand(experts["films"], workspace.inputs, "films", "films")
    [single] = workspace.proxy.score([Mixture.single(names, "films")])
    assert {k: v for k, v in single.values.items() if k in films} == pytest.approx(films, abs=1e-6)


@pytest.mark.parametrize("job", ["bert", "distilbert"], indirect=True)
def test_a_merge_is_that_of_a_plain_script(job: Path, trained: Workspace) -> None:
    names = trained.recipe.domain_names
    experts = {name: load(trained.runs.expert(name).folder) for name in names}
    assert tuple(experts["films"].config.id2label.values()) == NAMES
    for name, rows in ROWS.items():
        moved = experts[name].classifier.weight - load(job / "base").classifier.weight
        assert moved[rows].any()
        moved[rows] = 0
        assert not moved.any()  # no row of another head was trained
    require_as_by_hand(trained, job, experts)
    require_slopes(trained, Mixture(names, (0.5, 0.25, 0.25)))


@pytest.mark.parametrize("job", ["distilbert"], indirect=True)
def test_adapters_keep_the_rows_of_heads_too(job: Path) -> None:
    text = PER_DOMAIN.replace("device: cpu}", "device: cpu, method: lora, lora: {rank: 2}}")
    workspace = workspace_of(job, text)
    with workspace.study.lock():
        workspace.runs.train_experts()
        names = workspace.recipe.domain_names
        experts = {
            name: PeftModel.from_pretrained(
                load(job / "base"), workspace.runs.expert(name).folder
            ).merge_and_unload()
            for name in names
        }
        require_as_by_hand(workspace, job, experts)
        mixture = Mixture(names, (0.5, 0.25, 0.25))
        require_slopes(workspace, mixture)
        merge_study(workspace, str(mixture), job / "adapter", form="adapter")
        opened = PeftModel.from_pretrained(load(job / "base"), job / "adapter").merge_and_unload()
        by_script = merge_by_hand(load(job / "base"), experts, mixture).state_dict()
        for key, values in opened.state_dict().items():
            assert torch.allclose(values, by_script[key], atol=1e-6), key
        workspace.close()


def test_every_rule_keeps_the_heads(job: Path, trained: Workspace) -> None:
    names = trained.recipe.domain_names
    experts = {name: load(trained.runs.expert(name).folder) for name in names}
    settings = Settings(recipe_folder=job, cache=job / "cache")
    for rule in ("ties", "optimiser-aware"):
        workspace = Workspace(trained.study, settings, rule=rule)
        merged = merge_study(workspace, "films=0.5,books=0.5", job / f"by {rule}")
        head = load(merged.folder).classifier.weight
        expected = load(job / "base").classifier.weight.detach().clone()
        for name in ("films", "books"):
            expected[ROWS[name]] = experts[name].classifier.weight[ROWS[name]].detach()
        assert torch.allclose(head, expected, atol=1e-6)


def test_units_are_asked_for_the_label_of_the_sets_own_head(trained: Workspace) -> None:
    [(_, found)] = measure_study_units(trained, ("expert:films",), UnitSettings()).models
    suite = trained.inputs.suite
    assert found.n_predictions == sum(chosen.n_examples for chosen in suite.sets)
    assert found.prunable.mean > 0


def test_a_reference_learns_each_row_with_its_own_head(job: Path) -> None:
    """A run of SGD on two domains is that of a plain loop over the same batches."""
    still = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    save_base(job / "base", "bert", num_labels=len(NAMES), **still)
    sgd = "optimizer: sgd, momentum: 0.0, max_grad_norm: 1.0e9, schedule: constant"
    text = PER_DOMAIN.replace("device: cpu}", f"device: cpu, {sgd}}}")
    workspace = workspace_of(job, text.replace("warmup_steps: 1", "warmup_steps: 0"))
    mixture = Mixture(workspace.recipe.domain_names, (0.5, 0.5, 0.0))
    reference = workspace.runs.job(mixture, 7)
    with workspace.study.lock():
        finetune(reference, lambda step: None)
        workspace.close()
    by_hand = train_by_hand(load(job / "base"), reference)
    for key, values in load(reference.output).state_dict().items():
        assert torch.allclose(values, by_hand.state_dict()[key], atol=1e-6), key


def train_by_hand(model: Any, job: TrainingJob) -> Any:
    blend, heads = job.blend(), list(ROWS.values())
    rows = [stream.rows(1, None) for stream in job.streams.values()]
    size, rate = job.settings.batch_sequences, job.settings.learning_rate
    pairs = list(zip(blend.domain.tolist(), blend.row.tolist(), strict=True))
    for start in range(0, len(pairs), size):
        losses = []
        for domain, row in pairs[start : start + size]:
            item = {k: torch.from_numpy(v)[None] for k, v in rows[domain].item(row).items()}
            label = item.pop("labels") - heads[domain].start
            logits = model(**item).logits[:, heads[domain]]
            losses.append(torch.nn.functional.cross_entropy(logits, label))
        torch.stack(losses).mean().backward()
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter -= rate * parameter.grad
                    parameter.grad = None
    return model


OLD_SET = "batch_sequences: 3}"
SET = "batch_sequences: 3, sets: {extra: {files: extra.jsonl, kind: labels%s}}}"


def with_set(keys: str) -> str:
    assert OLD_SET in PER_DOMAIN
    return PER_DOMAIN.replace(OLD_SET, SET % keys)


def test_a_set_outside_is_read_with_the_head_that_it_names_or_the_only_one_that_fits(
    job: Path, trained: Workspace
) -> None:
    write_rows(job / "extra.jsonl", rated("song", ("1", "2", "3"), 20))
    found = inputs_of(job, with_set(""))
    assert found.head_of("extra").domain == "books"
    settings = Settings(recipe_folder=job, cache=job / "cache")
    write_rows(job / "extra.jsonl", rated("film", ("neg", "pos"), 20))
    with pytest.raises(
        RecipeError, match=r"extra\.head`: .* \(`neg`, `pos`\) are those of several"
    ):
        inputs_of(job, with_set("")).head_of("extra")
    trained.study.save_recipe(with_set(", head: songs"))
    workspace = Workspace(trained.study, settings)
    names = workspace.recipe.domain_names
    experts = {name: load(workspace.runs.expert(name).folder) for name in names}
    mixture = Mixture(names, (0.5, 0.25, 0.25))
    model = merge_by_hand(load(job / "base"), experts, mixture)
    [scored] = workspace.proxy.score([mixture])
    expected = by_hand(model, workspace.inputs, "extra", "songs")
    assert {k: scored.values[k] for k in expected} == pytest.approx(expected, abs=1e-6)
    workspace.close()


@pytest.mark.parametrize(
    ("labels", "keys", "complaint"),
    [
        (("pos", "3"), "", r"`evaluation\.sets\.extra\.head`: no domain has all labels"),
        (("pos", "3"), ", head: films", r"extra\.jsonl:\d+: the label `3` is none of `films`'s 2"),
        (("pos",), ", head: film", r"`film` is no domain, whose head .*did you mean `films`"),
    ],
)
def test_a_set_that_no_head_reads_is_refused(
    job: Path, labels: tuple[str, ...], keys: str, complaint: str
) -> None:
    write_rows(job / "extra.jsonl", rated("film", labels, 20))
    with pytest.raises(MixwiseError, match=complaint):
        inputs_of(job, with_set(keys)).corpus("extra")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "labels: per-domain\n",
            "",
            r"7 outputs, but the data have 5 labels .*`labels: per-domain`",
        ),
        (
            "answer: merged",
            "answer: predictions",
            "predictions cannot be with `labels: per-domain`",
        ),
        ("answer: merged", "answer: both", "both cannot be with `labels: per-domain`"),
        ("labels: per-domain", "labels: mine", "shared.*per-domain"),
        ("task: text-classification", "task: causal-lm", "per-domain is for tasks with labels"),
    ],
)
def test_what_cannot_be_is_refused_early(job: Path, old: str, new: str, complaint: str) -> None:
    text = PER_DOMAIN.replace(old, new)
    assert text != PER_DOMAIN
    if "causal" in new:
        text = text.replace("horizon_examples", "horizon_tokens").replace(
            "example_tokens: 12\n", ""
        )
        text = text.replace("evaluation:", "sequence_length: 4\nevaluation:")
    with pytest.raises(MixwiseError, match=complaint):
        _ = inputs_of(job, text).heads


def test_a_head_is_named_where_domains_have_their_own_alone(job: Path) -> None:
    text = with_set(", head: films").replace("labels: per-domain\n", "")
    with pytest.raises(RecipeError, match=r"extra\.head` is for domains that have labels of their"):
        inputs_of(job, text)


def test_the_default_answer_is_merges(job: Path) -> None:
    workspace = workspace_of(job, PER_DOMAIN.replace("answer: merged", "answer: auto"))
    assert workspace.answers.means == ("merged",)


def test_check_says_which_head_reads_a_set_and_which_labels_it_lacks(
    job: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWISE_CACHE", str(job / "cache"))
    monkeypatch.chdir(job)
    write_rows(job / "extra.jsonl", rated("song", ("1", "2"), 20))
    (job / "recipe.yaml").write_text(with_set(""))
    code, said, errors = mixwise("check", "recipe.yaml")
    assert code == 0, errors
    assert "`evaluation.sets.extra`: is read with the head of `books`" in said
    assert "no held-out example has the label `3`" in said
    assert "`objective`: reads the heads of `films`, `books`, `songs`, which a mixture" in said
    assert "`labels: per-domain`: experts take 50 % of a final run's steps; in " in said


def test_a_domain_that_always_has_a_share_is_not_warned_of(job: Path) -> None:
    bounds = "search: {bounds: {books: {min_share: 0.1}}}"
    metric = "objective: {metrics: [{set: books, measure: loss}]}"
    inputs = inputs_of(job, f"{PER_DOMAIN}{bounds}\n{metric}\n")
    assert not [note for note in notes_of(inputs) if "untrained" in note]


def test_a_base_that_names_its_outputs_decides_their_order(job: Path) -> None:
    names = {0: "songs/pos", 1: "songs/neg", 2: "films/neg", 3: "films/pos"}
    books = {4 + k: f"books/{k + 1}" for k in range(3)}
    save_base(job / "base", "bert", id2label=names | books)
    inputs = inputs_of(job, PER_DOMAIN)
    assert inputs.head_of("songs").outputs == range(2)
    assert set(
        np.unique(inputs.corpus("films").heldout_examples(8, inputs.overlap("films")).labels)
    ) <= {2, 3}
    require_inputs(inputs)


@pytest.mark.parametrize("labels", [("pos", "neg"), ("LABEL_0", "LABEL_1")])
def test_a_brought_expert_may_have_the_head_of_its_domain_alone(
    job: Path, labels: tuple[str, ...]
) -> None:
    """Its rows stand among the base's by the names of labels, or by their order without names."""
    save_base(job / "mine", "bert", id2label=dict(enumerate(labels)))
    mine, base = (load(job / name).state_dict() for name in ("mine", "base"))
    mine["classifier.weight"] += 1
    mine["bert.pooler.dense.weight"] += 1
    save_file(mine, job / "mine" / "model.safetensors", metadata={"format": "pt"})
    inputs = inputs_of(job, PER_DOMAIN.replace("songs.jsonl}", "songs.jsonl, expert: mine}"))
    given, merged = inputs.given_expert("songs"), inputs.expert_checkpoint("songs")
    assert given is not None
    assert merged is not None
    assert given.folder == job / "mine"
    whole = load(merged.folder)
    assert tuple(whole.config.id2label.values()) == NAMES
    order = [1, 0] if labels[0] == "pos" else [0, 1]
    for key, values in whole.state_dict().items():
        if key.startswith(f"{CLASSIFIER}."):
            assert torch.equal(values[ROWS["songs"]], mine[key][order])
            assert torch.equal(values[:5], base[key][:5])
        else:
            assert torch.equal(values, mine[key])
    assert require_inputs(inputs)


@pytest.mark.parametrize(
    ("labels", "complaint"),
    [
        (
            ("good", "neg"),
            "with the head of `films` alone must have its labels, but names no `pos`",
        ),
        (("neg", "pos", "odd"), "must have the base's 7 labels, but has 3"),
    ],
)
def test_a_brought_expert_with_another_head_is_refused(
    job: Path, labels: tuple[str, ...], complaint: str
) -> None:
    save_base(job / "mine", "bert", id2label=dict(enumerate(labels)))
    text = PER_DOMAIN.replace("films.jsonl}", "films.jsonl, expert: mine}")
    with pytest.raises(CheckpointError, match=complaint):
        inputs_of(job, text).expert_checkpoint("films")


def test_an_unknown_label_names_its_row_and_the_head(job: Path) -> None:
    save_base(job / "base", "bert", id2label=dict(enumerate(NAMES)))
    rows = [*rated("film", ("neg", "pos"), 60), {"text": "the play was fine", "label": "2"}]
    write_rows(job / "films.jsonl", rows)
    with pytest.raises(DataError, match=r"films\.jsonl:61: the label `2` is none of `films`'s 2"):
        inputs_of(job, PER_DOMAIN).corpus("films")


def test_rows_of_tables_have_the_labels_of_lines(job: Path) -> None:
    """CSV, and Parquet with labels that are numbers there."""
    rows = {name: rated(NOUNS[name], labels, 60) for name, labels in OF_DOMAINS.items()}
    with (job / "films.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, ["text", "label"])
        writer.writeheader()
        writer.writerows(rows["films"])
    numbers = [{**row, "label": int(row["label"])} for row in rows["books"]]
    parquet.write_table(pyarrow.Table.from_pylist(numbers), job / "books.parquet")
    text = PER_DOMAIN.replace("films.jsonl", "films.csv").replace("books.jsonl", "books.parquet")
    lines, tables = inputs_of(job, PER_DOMAIN), inputs_of(job, text)
    assert tables.labels == lines.labels == NAMES
    for name in ("films", "books"):
        found = [i.corpus(name).heldout_examples(8, i.overlap(name)) for i in (lines, tables)]
        assert np.array_equal(found[0].ids, found[1].ids)
        assert np.array_equal(found[0].labels, found[1].labels)

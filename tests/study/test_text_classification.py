"""Text classification through the whole program, held against a plain script."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file, save_file
from sklearn.metrics import f1_score
from tests.command_line import Cli

from mixwise.diagnostics.units.layers import find_mlp_layers
from mixwise.diagnostics.units.silencing import classes, measure_units
from mixwise.errors import CheckpointError, MixwiseError
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.live_model import LiveModel
from mixwise.recipe import parse_recipe
from mixwise.scorer import Part, Request
from mixwise.stages.check import require_inputs
from mixwise.stages.notes import notes_of
from mixwise.stages.probe import require_sound
from mixwise.stages.timing import measure_steps
from mixwise.stages.units import UnitSettings, measure_study_units
from mixwise.study.expert_training import training_differences
from mixwise.study.folder import StudyFolder
from mixwise.study.inputs import Inputs, Settings
from mixwise.study.session import Workspace

WORDS = [
    "good",
    "fine",
    "great",
    "nice",
    "bad",
    "poor",
    "awful",
    "dull",
    "film",
    "book",
    "play",
    "song",
    "the",
    "a",
    "was",
    "is",
]
NOUNS = {"films": "film", "books": "book", "songs": "song"}
RECIPE = """\
base: base
task: text-classification
domains:
  films: {files: films.jsonl}
  books: {files: books.jsonl}
  songs: {files: songs.jsonl}
horizon_examples: 64
example_tokens: 12
heldout: {overlap: drop}
evaluation: {max_sequences: 8, batch_sequences: 3}
training: {learning_rate: 3.0e-3, batch_sequences: 4, warmup_steps: 1, device: cpu}
budget: 100
proxy: {answer: merged}
calibration: {mixtures: 0}
experts: {horizon_tokens: 32, halvings: 0}
engine: {workers: 1, threads: 1}
"""


def reviews(noun: str, n: int) -> list[dict[str, str]]:
    rng, rows = random.Random(noun), []
    for _ in range(n):
        is_good = rng.random() < 0.5
        word = rng.choice(WORDS[:4] if is_good else WORDS[4:8])
        text = " ".join([*rng.choices(WORDS[12:], k=rng.randint(1, 6)), noun, word])
        rows.append({"text": text, "label": "pos" if is_good else "neg"})
    return rows


def save_base(folder: Path, architecture: str, **labels: Any) -> None:
    """A classifier of a few thousand parameters, and a tokenizer with special tokens."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors
    from transformers import AutoConfig, AutoModelForSequenceClassification, PreTrainedTokenizerFast

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
    vocabulary = {word: index for index, word in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    if architecture == "distilbert":
        sizes = {"dim": 16, "n_layers": 2, "n_heads": 2, "hidden_dim": 32}
    elif architecture == "gpt2":
        sizes = {"n_embd": 16, "n_layer": 2, "n_head": 2}
    else:
        sizes["intermediate_size"] = 32
    config = AutoConfig.for_model(
        architecture, vocab_size=len(vocabulary), max_position_embeddings=16, **sizes, **labels
    )
    torch.manual_seed(0)
    AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)


@pytest.fixture(params=["bert", "distilbert"])
def job(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    names = {"id2label": {0: "neg", 1: "pos"}, "label2id": {"neg": 0, "pos": 1}}
    save_base(tmp_path / "base", request.param, **names)
    for name, noun in NOUNS.items():
        lines = [json.dumps(row) for row in reviews(noun, 60)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    (tmp_path / "recipe.yaml").write_text(RECIPE)
    return tmp_path


def inputs_of(job: Path, text: str = RECIPE) -> Inputs:
    recipe = parse_recipe(text, "recipe.yaml")
    return Inputs(recipe, Settings(recipe_folder=job, cache=job / "cache"))


def by_hand(model: Any, inputs: Inputs, name: str) -> dict[str, float]:
    """Every metric of a set, one example after the other."""
    table = inputs.corpus(name).heldout_examples(8, inputs.overlap(name))
    losses, answers = [], []
    for ids, length, label in zip(table.ids, table.lengths, table.labels, strict=True):
        with torch.no_grad():
            logits = model(input_ids=torch.tensor(ids[:length].astype(int))[None]).logits[0]
        losses.append(float(torch.nn.functional.cross_entropy(logits, torch.tensor(int(label)))))
        answers.append(int(logits.argmax()))
    right = np.array(answers) == table.labels
    held = np.unique(table.labels)
    of_each = [np.mean(right[table.labels == each]) for each in held]
    return {
        f"{name}/loss": float(np.mean(losses)),
        f"{name}/accuracy": float(np.mean(right)),
        f"{name}/balanced_accuracy": float(np.mean(of_each)),
        f"{name}/macro_f1": float(f1_score(table.labels, answers, labels=held, average="macro")),
    }


def load(folder: Path) -> Any:
    from transformers import AutoModelForSequenceClassification

    return AutoModelForSequenceClassification.from_pretrained(folder).eval()


@pytest.mark.parametrize("job", ["distilbert"], indirect=True)
def test_a_whole_run_counts_examples_and_scores_as_a_plain_script(
    job: Path, mixwise: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MIXWISE_CACHE", str(job / "cache"))
    monkeypatch.chdir(job)
    code, checked, errors = mixwise("check", "recipe.yaml")
    assert code == 0, errors
    assert "3 of 32 examples" in checked
    assert "tokens in all" not in checked
    code, answer, errors = mixwise("run", "recipe.yaml", "--study", "study")
    assert code == 0, errors
    assert "Experts read 32 examples each, the final model 64" in answer
    study = StudyFolder.open(job / "study")
    with study.lock():
        settings = Settings(recipe_folder=job, cache=job / "cache")
        workspace = Workspace(study, settings)
        names = workspace.recipe.domain_names
        experts = [workspace.runs.expert(name).folder for name in names]
        mixture = Mixture(names, (0.5, 0.25, 0.25))
        raced, dropped = Mixture(names, (0.25, 0.5, 0.25)), Mixture(names, (0.25, 0.25, 0.5))
        for part in (Part(0, 1, 2), Part(1, 2, 2)):  # the values of parts are not those of all
            workspace.proxy.score([raced], Request(part=part))
        workspace.proxy.score([dropped], Request(part=Part(0, 1, 2)))
        for chosen in (mixture, Mixture.single(names, "films"), raced, dropped):
            merged = merge_by_hand(job, experts, chosen) if max(chosen.shares) < 1 else experts[0]
            [found] = workspace.proxy.score([chosen])
            expected: dict[str, float] = {}
            for name in names:
                expected |= by_hand(load(merged), workspace.inputs, name)
            assert found.values == pytest.approx(expected, abs=1e-5)
        require_slopes(workspace, mixture)
        workspace.close()


@pytest.mark.parametrize("job", ["distilbert"], indirect=True)
def test_adapters_and_heads_are_merged_as_a_plain_script_does(job: Path) -> None:
    """Trained by the program, opened by PEFT; the head is the average of heads."""
    text = RECIPE.replace("device: cpu}", "device: cpu, method: lora, lora: {rank: 2}}")
    study = StudyFolder.create(job / "study", job / "recipe.yaml")
    study.save_recipe(text)
    with study.lock():
        workspace = Workspace(study, Settings(recipe_folder=job, cache=job / "cache"))
        live = require_inputs(workspace.inputs)
        measure_steps(live, workspace.inputs, 1)
        state = live.module.state_dict()  # what is written later is still the model's own
        assert all(state[name].data_ptr() == t.data_ptr() for name, t in live.tensors.items())
        workspace.runs.train_experts()
        names = workspace.recipe.domain_names
        folders = [workspace.runs.expert(name).folder for name in names]
        assert all((folder / "adapter_config.json").is_file() for folder in folders)
        experts = [
            PeftModel.from_pretrained(load(job / "base"), folder).merge_and_unload()
            for folder in folders
        ]
        heads = [expert.classifier.weight for expert in experts]
        assert (heads[0] - heads[1]).abs().max() > 1e-4
        assert (heads[0] - load(job / "base").classifier.weight).abs().max() > 1e-4
        mixture = Mixture(names, (0.5, 0.25, 0.25))
        for chosen in (mixture, Mixture.single(names, "films")):
            model = load(job / "base")
            average = {
                key: sum(
                    s * e.state_dict()[key] for s, e in zip(chosen.shares, experts, strict=True)
                )
                for key in model.state_dict()
            }
            model.load_state_dict(average)
            [found] = workspace.proxy.score([chosen])
            expected: dict[str, float] = {}
            for name in names:
                expected |= by_hand(model, workspace.inputs, name)
            assert found.values == pytest.approx(expected, abs=1e-5)
        require_slopes(workspace, mixture)
        require_units(workspace, experts[0].eval())
        workspace.close()


@pytest.mark.parametrize("job", ["distilbert"], indirect=True)
def test_no_adapter_is_asked_of_what_is_trained_in_full(job: Path) -> None:
    lora = "method: lora, lora: {target_modules: [q_lin, pre_classifier]}"
    inputs = inputs_of(job, RECIPE.replace("device: cpu", f"device: cpu, {lora}"))
    with pytest.raises(MixwiseError, match=r"`pre_classifier` is of the classifier's head, .* out"):
        require_inputs(inputs)


@pytest.mark.parametrize("job", ["bert"], indirect=True)
def test_adapters_that_a_user_brings_are_merged_and_said_to_name_no_labels(job: Path) -> None:
    """Saved by PEFT alone; the recipe's own method does not matter where all are brought."""
    text, merged = RECIPE, []
    for seed, name in enumerate(NOUNS):
        settings = LoraConfig(r=2, task_type="SEQ_CLS", target_modules=["query", "value"])
        model = get_peft_model(load(job / "base"), settings)
        torch.manual_seed(seed)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.data += 0.1 * torch.randn(parameter.shape)
        model.save_pretrained(job / f"my {name}")
        merged.append(model.merge_and_unload().state_dict())
        text = text.replace(f"{name}.jsonl}}", f"{name}.jsonl, expert: my {name}}}")
    inputs = inputs_of(job, text)
    live = require_inputs(inputs)
    experts = {name: inputs.expert_checkpoint(name) for name in NOUNS}
    for expert in experts.values():
        assert expert is not None
        said = list(training_differences(live, expert, inputs.recipe, expert_tokens=32))
        assert any("it names no labels" in line for line in said)
    mixture = Mixture(tuple(NOUNS), (0.5, 0.25, 0.25))
    ExpertPool(live, experts).merge(mixture, LINEAR)  # type: ignore[arg-type]
    for name, tensor in live.module.state_dict().items():
        expected = sum(s * state[name] for s, state in zip(mixture.shares, merged, strict=True))
        assert torch.allclose(tensor, torch.as_tensor(expected), atol=1e-5), name


def require_units(workspace: Workspace, model: Any) -> None:
    """Units of the expert on films are those of the model that PEFT has merged."""
    inputs = workspace.inputs
    [(_, found)] = measure_study_units(workspace, ("expert:films",), UnitSettings()).models
    texts = []
    for name in inputs.recipe.domain_names:
        table = inputs.corpus(name).heldout_examples(8, inputs.overlap(name))
        texts += [ids[:n].astype(int) for ids, n in zip(table.ids, table.lengths, strict=True)]
    batches = [torch.tensor(ids)[None] for ids in texts]
    own = measure_units(model, batches, find_mlp_layers(model), predict=classes)
    assert found.n_predictions == len(texts)
    assert [layer.n_units for layer in found.layers] == [32, 32]
    assert np.allclose(np.sort(found.agreement), np.sort(own.agreement), atol=1.5 / len(texts))
    assert found.redundant == pytest.approx(own.redundant)


def merge_by_hand(job: Path, experts: list[Path], mixture: Mixture) -> Path:
    tensors = [load_file(folder / "model.safetensors") for folder in experts]
    folder = job / "merged"
    folder.mkdir(exist_ok=True)
    average = {
        name: sum(s * t[name] for s, t in zip(mixture.shares, tensors, strict=True))
        for name in tensors[0]
    }
    save_file(average, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_bytes((experts[0] / "config.json").read_bytes())
    return folder


def require_slopes(workspace: Workspace, mixture: Mixture) -> None:
    """Slopes of the loss are those of finite differences, from the first domain to the second."""
    step, names = 1e-2, mixture.domains
    [found] = workspace.proxy.score([mixture], Request(order=1))
    shares = mixture.array
    moved = [shares + sign * step * np.array([1, -1, 0]) for sign in (1, -1)]
    up, down = workspace.proxy.score([Mixture(names, tuple(each)) for each in moved])
    measured = found.measurement("films/loss").derivatives
    assert measured is not None
    expected = (up.values["films/loss"] - down.values["films/loss"]) / (2 * step)
    assert measured.slopes[0] - measured.slopes[1] == pytest.approx(expected, abs=2e-4)


def test_an_unknown_label_names_its_row(job: Path) -> None:
    rows = [*reviews("film", 60), {"text": "the play was fine", "label": "Pos"}]
    (job / "films.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    with pytest.raises(MixwiseError, match=r"films\.jsonl:61: the label `Pos` is none of .*`pos`"):
        inputs_of(job).corpus("films")


@pytest.mark.parametrize("settings", [{}, {"pad_token_id": 5}])
def test_a_classifier_that_does_not_mask_padding_is_refused(
    job: Path, settings: dict[str, int]
) -> None:
    """It takes the last token that is no padding token for the end; what we fill up with is masked.

    Without such a token it reads no batch at all; with another than ours it reads a wrong one.
    """
    save_base(job / "base", "gpt2", id2label={0: "neg", 1: "pos"}, **settings)
    inputs = inputs_of(job)
    live = LiveModel.load(inputs.base, auto_class="AutoModelForSequenceClassification")
    with pytest.raises(CheckpointError, match="use a classifier that masks padding"):
        require_sound(live, inputs)


def test_a_base_without_a_head_is_refused(job: Path) -> None:
    from transformers import AutoModel

    AutoModel.from_pretrained(job / "base").save_pretrained(job / "base")
    with pytest.raises(CheckpointError, match="classifier"):
        LiveModel.load(inputs_of(job).base, auto_class="AutoModelForSequenceClassification")


def test_labels_that_the_base_does_not_name_are_those_of_the_data(job: Path) -> None:
    save_base(job / "base", "bert", num_labels=2)
    assert inputs_of(job).labels == ("neg", "pos")
    save_base(job / "base", "bert", num_labels=3)
    with pytest.raises(MixwiseError, match="has 3 outputs, but the data have 2 labels"):
        _ = inputs_of(job).labels


def test_labels_that_no_heldout_example_has_are_said(job: Path) -> None:
    save_base(job / "base", "bert", id2label={0: "neg", 1: "so-so", 2: "pos"})
    notes = [note for note in notes_of(inputs_of(job)) if "no held-out example" in note]
    assert [note.partition(":")[0] for note in notes] == [f"`domains.{name}`" for name in NOUNS]
    assert all("has the label `so-so`: balanced_accuracy and macro_f1" in note for note in notes)


def test_a_race_over_parts_refuses_what_is_no_mean(job: Path) -> None:
    metric = "{set: films, measure: macro_f1}"
    text = f"{RECIPE}objective: {{metrics: [{metric}]}}\nsearch: {{method: subsets-race}}\n"
    with pytest.raises(MixwiseError, match=r"metrics\.0`: `macro_f1` is no mean over examples"):
        parse_recipe(text, "recipe.yaml")
    assert parse_recipe(text.replace("macro_f1", "accuracy"), "recipe.yaml").search.method


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (
            "horizon_examples",
            "horizon_tokens",
            "`horizon_tokens` cannot be with .*`horizon_examples`",
        ),
        ("task: text-classification\n", "", "`horizon_examples` is for tasks with labels"),
        ("example_tokens: 12", "sequence_length: 12", "use `example_tokens`"),
        ("{files: films.jsonl}", "{files: films.jsonl, records: chat}", "must be labelled records"),
        ("device: cpu}", "device: cpu}\ndocument_masking: true", "`document_masking`: .* leave it"),
        ("batch_sequences: 3", "batch_sequences: 3, sets: {q: {files: q.jsonl}}", "use labels"),
    ],
)
def test_what_cannot_be_is_refused_early(job: Path, old: str, new: str, complaint: str) -> None:
    assert old in RECIPE
    with pytest.raises(MixwiseError, match=complaint):
        inputs_of(job, RECIPE.replace(old, new)).source("films")

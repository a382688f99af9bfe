from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tests.training.jobs import BATCH, LENGTH, STEPS, assert_same, ignore, make_job, weights

from mixwise.errors import CheckpointError, TrainingError
from mixwise.merging.pool import ExpertPool
from mixwise.merging.rules.rule import LINEAR
from mixwise.mixture import Mixture
from mixwise.models.checkpoint import SECOND_MOMENTS_FILE, open_checkpoint
from mixwise.models.live_model import LiveModel
from mixwise.models.loading import load_module
from mixwise.training.finetune import finetune
from mixwise.training.job import TrainingJob, load_record


def test_same_job_gives_same_weights_and_a_record(pico_base: Path, tmp_path: Path) -> None:
    first = make_job(pico_base, tmp_path, "first")
    second = first.model_copy(update={"output": tmp_path / "second"})
    record = finetune(first, ignore)
    finetune(second, ignore)
    assert_same(weights(first.output), weights(second.output))
    assert record == load_record(first.output)
    assert (record.n_steps, record.n_tokens) == (STEPS, STEPS * BATCH * LENGTH)
    assert not (first.output / ".training").exists()
    assert {p.suffix for p in first.output.iterdir() if p.is_file()} <= {".json", ".safetensors"}


def test_every_sequence_begins_with_the_start_of_text(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "begun").model_copy(update={"start_of_text": 319})
    finetune(job, ignore)
    for path in (stream.ids for stream in job.streams.values()):
        rows = np.fromfile(path, dtype=np.uint32).reshape(-1, LENGTH)
        rows[:, 0] = 319
        rows.tofile(path)
    other = job.model_copy(update={"output": tmp_path / "other", "start_of_text": None})
    finetune(other, ignore)
    assert_same(weights(job.output), weights(other.output))


def test_documents_apart_are_trained_as_if_each_stood_alone(
    calm_base: Path, tmp_path: Path
) -> None:
    from transformers import AutoModelForCausalLM

    job = make_job(calm_base, tmp_path, "run", optimizer="sgd", momentum=0.0, learning_rate=0.1)
    parts = np.array([5, 1, 9, 17] * 20)
    for stream in job.streams.values():
        np.save(stream.ids.with_suffix(".npy"), parts)
    streams = {
        name: stream.model_copy(update={"lengths": stream.ids.with_suffix(".npy")})
        for name, stream in job.streams.items()
    }
    job = job.model_copy(update={"streams": streams})
    finetune(job, ignore)
    model = AutoModelForCausalLM.from_pretrained(calm_base)
    order = job.blend()
    rows = [stream.rows(LENGTH, None) for stream in job.streams.values()]
    for step in range(STEPS):
        total, n_learned = torch.tensor(0.0), 0
        for k in range(step * BATCH, (step + 1) * BATCH):
            domain, row = rows[order.domain[k]], int(order.row[k])
            positions = domain.positions(row)
            assert positions is not None
            for document in np.split(domain.read(row)[0], np.flatnonzero(positions == 0)[1:]):
                if len(document) > 1:
                    one = torch.from_numpy(document[None])
                    total = total + model(input_ids=one, labels=one).loss * (len(document) - 1)
                    n_learned += len(document) - 1
        (total / n_learned).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter -= 0.1 * min(1.0, step / 2) * parameter.grad
                parameter.grad = None
    trained = weights(job.output)
    for name, parameter in model.named_parameters():
        assert torch.allclose(trained[name], parameter, atol=1e-5), name


def test_seed_and_mixture_change_the_weights(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "first")
    other_seed = job.model_copy(update={"output": tmp_path / "seed", "seed": 4})
    other_mix = job.model_copy(update={"output": tmp_path / "mix", "shares": (0.25, 0.75)})
    for one in (job, other_seed, other_mix):
        finetune(one, ignore)
    name = "model.norm.weight"
    values = [weights(one.output)[name] for one in (job, other_seed, other_mix)]
    assert not torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])


def test_equals_a_plain_adamw_loop(calm_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    job = make_job(calm_base, tmp_path, "run")
    finetune(job, ignore)
    model = AutoModelForCausalLM.from_pretrained(calm_base)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    order = job.blend()
    streams = [
        np.fromfile(f, dtype=np.uint32).reshape(-1, LENGTH)
        for f in (stream.ids for stream in job.streams.values())
    ]
    rows = np.stack([streams[d][r] for d, r in zip(order.domain, order.row, strict=True)])
    for step in range(STEPS):
        for group in optimiser.param_groups:
            group["lr"] = 3e-3 * min(1.0, step / 2)
        ids = torch.from_numpy(rows[step * BATCH : (step + 1) * BATCH].astype(np.int64))
        model(input_ids=ids, labels=ids).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        optimiser.zero_grad()
    trained = weights(job.output)
    moments = load_file(job.output / SECOND_MOMENTS_FILE)
    for name, parameter in model.named_parameters():
        assert torch.allclose(trained[name], parameter, atol=1e-6), name
        state = optimiser.state[parameter]
        expected = state["exp_avg_sq"] / (1 - 0.999 ** float(state["step"]))
        assert torch.allclose(moments[name], expected, rtol=1e-3, atol=1e-9), name


def test_loss_that_is_not_finite_names_domain_and_step(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", learning_rate=1e30, warmup_steps=0)
    job = job.model_copy(update={"shares": (0.0, 1.0)})
    with pytest.raises(TrainingError, match=r"domain `beta` is not finite at step \d+ of 12"):
        finetune(job, ignore)
    assert load_record(job.output) is None


def test_gradient_accumulation_gives_the_same_weights(calm_base: Path, tmp_path: Path) -> None:
    plain = make_job(calm_base, tmp_path, "plain")
    parts = make_job(calm_base, tmp_path, "parts", gradient_accumulation_steps=2)
    finetune(plain, ignore)
    finetune(parts, ignore)
    for name, tensor in weights(plain.output).items():
        assert torch.allclose(tensor, weights(parts.output)[name], atol=1e-5), name
    moments = [load_file(job.output / SECOND_MOMENTS_FILE) for job in (parts, plain)]
    assert relative(*moments) < 1e-3


def test_gradient_checkpointing_gives_the_same_weights(calm_base: Path, tmp_path: Path) -> None:
    plain = make_job(calm_base, tmp_path, "plain")
    frugal = make_job(calm_base, tmp_path, "frugal", gradient_checkpointing=True)
    finetune(plain, ignore)
    finetune(frugal, ignore)
    for name, tensor in weights(plain.output).items():
        assert torch.allclose(tensor, weights(frugal.output)[name], atol=1e-5), name


FRUGAL = {
    "precision": "bfloat16",
    "gradient_accumulation_steps": 2,
    "gradient_checkpointing": True,
}


@pytest.fixture(scope="module")
def bfloat16_runs(
    calm_base: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, torch.Tensor]]:
    """What full runs change: in float32, in bfloat16, and that with all that saves memory."""
    folder = tmp_path_factory.mktemp("runs")
    base = weights(calm_base)
    found = {}
    for name, settings in {
        "float32": {},
        "bfloat16": {"precision": "bfloat16"},
        "frugal": FRUGAL,
    }.items():
        job = make_job(calm_base, folder, name, **settings)
        record = finetune(job, ignore)
        assert all(np.isfinite(list(record.losses.values())))
        found[name] = {key: tensor - base[key] for key, tensor in weights(job.output).items()}
    return found


def relative(left: dict[str, torch.Tensor], right: dict[str, torch.Tensor]) -> float:
    """Size of the difference of two changes, in sizes of the second."""
    apart = torch.cat([(left[name] - right[name]).flatten() for name in right])
    return float(apart.norm() / torch.cat([tensor.flatten() for tensor in right.values()]).norm())


def test_bfloat16_rounds_the_steps_and_not_the_checkpoint(
    bfloat16_runs: dict[str, dict[str, torch.Tensor]],
) -> None:
    half = bfloat16_runs["bfloat16"]
    assert all(t.dtype == torch.float32 and t.isfinite().all() for t in half.values())
    assert 0 < relative(half, bfloat16_runs["float32"]) < 0.2


def test_accumulation_checkpointing_and_bfloat16_go_together_in_full_training(
    bfloat16_runs: dict[str, dict[str, torch.Tensor]],
) -> None:
    frugal = bfloat16_runs["frugal"]
    assert relative(frugal, bfloat16_runs["bfloat16"]) < 0.2
    assert relative(frugal, bfloat16_runs["float32"]) < 0.2


def test_activations_are_computed_again_in_full_training(
    calm_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers.models.llama.modeling_llama import LlamaMLP

    n_passes = 0
    forward = LlamaMLP.forward

    def counted(self: LlamaMLP, x: torch.Tensor) -> torch.Tensor:
        nonlocal n_passes
        n_passes += 1
        return forward(self, x)

    monkeypatch.setattr(LlamaMLP, "forward", counted)
    finetune(make_job(calm_base, tmp_path, "frugal", **FRUGAL), ignore)
    n_layers, n_parts, n_times = 2, 2, 2
    assert n_passes == STEPS * n_layers * n_parts * n_times


def test_an_expert_trained_in_bfloat16_is_what_its_corner_merges_to(
    calm_base: Path, tmp_path: Path
) -> None:
    job = make_job(calm_base, tmp_path, "expert", **FRUGAL)
    finetune(job, ignore)
    live = LiveModel.load(open_checkpoint(calm_base))
    experts = {
        "alpha": open_checkpoint(job.output),
        "beta": open_checkpoint(calm_base),
    }
    pool = ExpertPool(live, experts, folder=tmp_path / "store", precision="int8")
    pool.merge(Mixture.single(("alpha", "beta"), "alpha"), LINEAR)
    for name, tensor in weights(job.output).items():
        assert torch.equal(live.tensors[live.aliases[name]], tensor)


def test_a_base_that_changed_is_refused(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run")
    with pytest.raises(CheckpointError, match="the base has changed since the study"):
        finetune(job.model_copy(update={"base_fingerprint": "other"}), ignore)


def masked(job: TrainingJob, is_learned: Callable[[int], bool]) -> TrainingJob:
    """The same job, of whose tokens those are learned that stand where this says."""
    streams = {}
    for name, stream in job.streams.items():
        n = stream.ids.stat().st_size // 4
        mask = stream.ids.with_name(f"{name}_mask_{job.output.name}.u8")
        np.array([is_learned(k) for k in range(n)], dtype=np.uint8).tofile(mask)
        streams[name] = stream.model_copy(update={"mask": mask})
    return job.model_copy(update={"streams": streams})


def test_a_mask_of_ones_is_no_mask(pico_base: Path, tmp_path: Path) -> None:
    plain = make_job(pico_base, tmp_path, "plain")
    ones = masked(make_job(pico_base, tmp_path, "ones"), lambda k: True)
    finetune(plain, ignore)
    finetune(ones, ignore)
    assert_same(weights(plain.output), weights(ones.output))


def test_the_loss_is_the_mean_over_learned_tokens(calm_base: Path, tmp_path: Path) -> None:
    job = make_job(calm_base, tmp_path, "run", learning_rate=1e-12, gradient_accumulation_steps=2)
    job = masked(job, lambda k: k % LENGTH > 11 or k % 100 > 70)
    losses = finetune(job, ignore).losses
    model = load_module(calm_base).eval()
    rows = [stream.rows(LENGTH, None) for stream in job.streams.values()]
    order = job.blend()
    for step, loss in losses.items():
        places = range((step - 1) * BATCH, step * BATCH)
        read = [rows[order.domain[k]].read(order.row[k]) for k in places]
        ids, labels = (torch.from_numpy(np.stack(part)) for part in zip(*read, strict=True))
        assert (labels == -100).any(dim=1).all()
        with torch.no_grad():
            logits = model(input_ids=ids).logits[:, :-1].flatten(0, 1)
        expected = torch.nn.functional.cross_entropy(logits, labels[:, 1:].flatten())
        assert loss == pytest.approx(float(expected), rel=1e-4)


def test_a_step_without_learned_tokens_changes_nothing(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", optimizer="sgd", momentum=0.0)
    job = masked(job, lambda k: False)
    record = finetune(job, ignore)
    assert set(record.losses.values()) == {0.0}
    assert_same(weights(pico_base), weights(job.output))

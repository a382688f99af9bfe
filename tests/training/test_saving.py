from __future__ import annotations

import io
import resource
import warnings
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import pytest
import torch
from tests.training.jobs import ignore, make_job, weights

from mixwise.engine.local import LocalEngine
from mixwise.errors import ResourceError
from mixwise.recipe import Lora
from mixwise.training.finetune import finetune
from mixwise.training.job import TrainingJob, load_record


def test_trajectory_checkpoints_are_whole_folders(pico_base: Path, tmp_path: Path) -> None:
    from transformers import AutoModelForCausalLM

    job = make_job(pico_base, tmp_path, "run").model_copy(update={"trajectory": (4, 8)})
    finetune(job, ignore)
    folders = sorted((job.output / "trajectory").iterdir(), key=lambda p: int(p.name))
    assert [p.name for p in folders] == ["4", "8"]
    early = AutoModelForCausalLM.from_pretrained(folders[0]).state_dict()
    late = weights(job.output)
    assert not torch.equal(early["model.norm.weight"], late["model.norm.weight"])


def test_lora_saves_a_plain_adapter_folder(pico_base: Path, tmp_path: Path) -> None:
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    job = make_job(
        pico_base, tmp_path, "run", method="lora", lora=Lora(rank=2, alpha=4).model_dump()
    )
    finetune(job, ignore)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(pico_base), job.output)
    assert any("lora_B" in name and p.abs().sum() > 0 for name, p in model.named_parameters())


def test_lora_warns_of_nothing(pico_base: Path, tmp_path: Path) -> None:
    lora = Lora(rank=2, alpha=4).model_dump()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # what the tests ignore elsewhere, users would read
        finetune(make_job(pico_base, tmp_path, "run", method="lora", lora=lora), ignore)


def test_bfloat16_keeps_checkpoints_in_float32(pico_base: Path, tmp_path: Path) -> None:
    job = make_job(pico_base, tmp_path, "run", precision="bfloat16")
    finetune(job, ignore)
    assert {tensor.dtype for tensor in weights(job.output).values()} == {torch.float32}


def finetune_on_full_disk(job: tuple[TrainingJob, int], on_step: Callable[[int], None]) -> None:
    settings, limit_bytes = job
    with redirect_stderr(io.StringIO()), redirect_stdout(io.StringIO()):  # files in tests
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))
        finetune(settings, on_step)


@pytest.mark.parametrize("limit_bytes", [1_000, 60_000])
def test_full_disk_is_a_clear_error_and_nothing_is_lost(
    limit_bytes: int, pico_base: Path, tmp_path: Path
) -> None:
    """A limit on the size of files stands for a full disk: every larger write fails."""
    job = make_job(pico_base, tmp_path, "run")
    engine = LocalEngine(1, 1)
    try:
        with pytest.raises(ResourceError, match="cannot be written"):
            list(engine.run(finetune_on_full_disk, [(job, limit_bytes)], lambda index, step: None))
    finally:
        engine.close()  # the worker, and with it the limit
    assert load_record(job.output) is None
    finetune(job, ignore)
    assert load_record(job.output) is not None


def test_a_template_of_the_recipes_goes_with_the_model(pico_base: Path, tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    job = make_job(pico_base, tmp_path, "run").model_copy(update={"chat_template": "{{ 'é' }}"})
    finetune(job, ignore)
    tokenizer = AutoTokenizer.from_pretrained(job.output)
    assert tokenizer.chat_template == "{{ 'é' }}"

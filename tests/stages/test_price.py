from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.training.jobs import ignore, make_job

from mixwise.stages.price import price_words, untrained
from mixwise.training.finetune import finetune
from mixwise.training.job import save_record


def test_only_a_finished_run_of_the_same_settings_costs_nothing(
    pico_base: Path, tmp_path: Path
) -> None:
    done, planned = (make_job(pico_base, tmp_path, name) for name in ("done", "planned"))
    changed = done.model_copy(update={"fingerprint": "other"})
    assert untrained([done, planned]) == [done, planned]
    finetune(done, ignore)
    assert untrained([done, changed, planned]) == [changed, planned]


def test_a_longer_run_takes_its_own_steps_not_an_experts(pico_base: Path, tmp_path: Path) -> None:
    expert, run = (make_job(pico_base, tmp_path, name) for name in ("expert", "run"))
    save_record(finetune(expert, ignore).model_copy(update={"seconds": 3.0}), expert.output)
    longer = run.model_copy(update={"n_sequences": 40 * run.n_sequences})
    study: Any = SimpleNamespace(runs=SimpleNamespace(expert_jobs=lambda: [expert]))
    assert price_words(study, [longer]).endswith(", about 2.0 min")
    assert price_words(study, [run, run]).endswith(", about 6.0 s one after the other")
    assert price_words(study, [longer, run]).endswith(", about 2.0 min one after the other")

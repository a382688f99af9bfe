from pathlib import Path

from tests.training.jobs import ignore, make_job

from mixwise.stages.price import untrained
from mixwise.training.finetune import finetune


def test_only_a_finished_run_of_the_same_settings_costs_nothing(
    pico_base: Path, tmp_path: Path
) -> None:
    done, planned = (make_job(pico_base, tmp_path, name) for name in ("done", "planned"))
    changed = done.model_copy(update={"fingerprint": "other"})
    assert untrained([done, planned]) == [done, planned]
    finetune(done, ignore)
    assert untrained([done, changed, planned]) == [changed, planned]

from __future__ import annotations

import pytest
from tests.engine.test_local import OnStep, fail_at_once, square

from mixwise.engine.local import LocalEngine
from mixwise.engine.protocol import Engine
from mixwise.engine.serial import HereEngine
from mixwise.engine.worker_cache import resident
from mixwise.errors import TrainingError


def test_it_is_an_engine_like_the_other() -> None:
    engines: list[Engine] = [HereEngine(), LocalEngine(1, 1)]
    assert [engine.n_workers for engine in engines] == [1, 1]


def test_jobs_run_in_their_order_and_tell_their_steps() -> None:
    steps: list[tuple[int, int]] = []
    finished = list(HereEngine().run(square, [2, 3], lambda k, step: steps.append((k, step))))
    assert [(f.index, f.result) for f in finished] == [(0, 4), (1, 9)]
    assert steps == [(0, 1), (1, 1)]


def test_a_result_is_there_before_the_next_job_begins() -> None:
    done: list[int] = []

    def note(job: int, on_step: OnStep) -> int:
        done.append(job)
        return job

    for finished in HereEngine().run(note, [5, 6], lambda k, step: None):
        assert done[-1] == finished.result


def test_what_a_job_raises_is_raised() -> None:
    with pytest.raises(TrainingError, match="diverged"):
        list(HereEngine().run(fail_at_once, [1], lambda k, step: None))


def test_close_gives_up_what_jobs_kept() -> None:
    first = resident("key", lambda: object())
    HereEngine().close()
    assert resident("key", lambda: object()) is not first

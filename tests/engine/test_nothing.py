import pytest

from mixwise.engine.nothing import NoEngine, NotMeasuredError
from mixwise.errors import StudyError


def test_every_job_is_refused_and_none_is_no_error() -> None:
    engine = NoEngine()
    assert engine.n_workers == 1
    assert list(engine.run(lambda job, on_step: job, [], lambda index, step: None)) == []
    with pytest.raises(NotMeasuredError, match="has not been measured in the study yet"):
        engine.run(lambda job, on_step: job, [1], lambda index, step: None)
    assert issubclass(NotMeasuredError, StudyError)
    engine.close()

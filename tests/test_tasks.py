import pytest
import transformers

from mixwise.kinds import KINDS
from mixwise.records.formats import FORMATS
from mixwise.tasks import TASKS, Task


@pytest.mark.parametrize("task", TASKS.values(), ids=lambda task: task.name)
def test_every_task_names_what_there_is(task: Task) -> None:
    assert hasattr(transformers, task.auto_class)
    assert task.set_kind in KINDS
    assert task.records is None or task.records in FORMATS
    assert task.has_labels is (task.unit == "examples")

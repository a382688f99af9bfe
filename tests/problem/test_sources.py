import functools
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mixwise.problem.sources import source_hash

MODULE = """\
import functools
import math
RATE = 0.1


@functools.cache
def kept(x):
    return x + {kept}


def inner(x):
    return x + {inner}


class Layer:
    width = 3

    def size(self):
        return self.width * {method}


def train(x, scale={default}):
    # {comment}
    return inner(x) * RATE * Layer().size() * math.pi * kept(scale)


def make(closed):
    def function(x):
        return x * closed
    return function
"""
SAME = {"kept": "1", "inner": "1", "method": "1", "default": "1", "comment": "a"}


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., ModuleType]:
    def make(**changes: str) -> ModuleType:
        import linecache

        file = tmp_path / "functions.py"
        file.write_text(MODULE.format(**(SAME | changes)))
        linecache.clearcache()
        module = ModuleType("functions")
        exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
        return module

    return make


def test_comments_and_loading_it_again_change_nothing(load: Callable[..., ModuleType]) -> None:
    first = source_hash(load().train)
    assert first is not None
    assert source_hash(load(comment="b").train) == first


@pytest.mark.parametrize("part", ["kept", "inner", "method", "default"])
def test_a_function_class_or_default_that_it_reads_changes_it(
    load: Callable[..., ModuleType], part: str
) -> None:
    first = source_hash(load().train)
    assert source_hash(load(**{part: "2"}).train) != first


def test_a_number_of_its_module_changes_it(load: Callable[..., ModuleType]) -> None:
    module = load()
    first = source_hash(module.train)
    module.RATE = 0.2  # type: ignore[attr-defined]
    assert source_hash(module.train) != first


def test_closures_and_arguments_that_are_bound_change_it(
    load: Callable[..., ModuleType],
) -> None:
    module = load()
    assert source_hash(module.make(1)) != source_hash(module.make(2))
    one, two = (functools.partial(module.train, scale=scale) for scale in (1, 2))
    assert source_hash(one) != source_hash(two)


def test_without_source_there_is_no_hash() -> None:
    scope: dict[str, Callable[[], int]] = {}
    exec("def made(): return 1", scope)
    assert source_hash(scope["made"]) is None
    assert source_hash(len) is None

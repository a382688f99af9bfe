import functools
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from mixwise.problem.sources import source_hash

MODULE = """\
import functools
import math
from dataclasses import dataclass
RATE = 0.1


@functools.cache
def kept(x):
    return x + {kept}


def inner(x):
    return x + {inner}


class Sized:
    depth = {inherited}


class Layer(Sized):
    width = 3

    @functools.cached_property
    def area(self):
        return self.depth * {cached}

    @functools.cache
    def volume(self):
        return self.area * {memoised}

    @property
    def height(self):
        return self.volume()

    @height.setter
    def height(self, value):
        self.kept = value * {setter}

    def size(self):
        return self.width * {method}


def scaled(function):
    @functools.wraps(function)
    def around(*values):
        return {decorator} * function(*values)

    return around


@dataclass
class Called:
    rate: float

    def __call__(self, x):
        return x * self.rate * {called}


class Held:
    def __init__(self, rate):
        self.rate = rate

    @scaled
    def train(self, x):
        return x * self.rate


@scaled
def train(x, scale={default}):
    # {comment}
    return inner(x) * RATE * Layer().size() * math.pi * kept(scale)


def make(closed):
    def function(x):
        return x * closed
    return function
"""
NAMED = ("kept", "inner", "method", "default", "inherited", "cached", "memoised", "setter")
SAME = dict.fromkeys((*NAMED, "decorator", "called"), "1") | {"comment": "a"}


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., ModuleType]:
    def make(**changes: str) -> ModuleType:
        import linecache

        file = tmp_path / "functions.py"
        file.write_text(MODULE.format(**(SAME | changes)))
        linecache.clearcache()
        module = ModuleType("functions")
        monkeypatch.setitem(sys.modules, "functions", module)  # where dataclasses look
        exec(compile(file.read_text(), str(file), "exec"), module.__dict__)
        return module

    return make


def test_comments_and_loading_it_again_change_nothing(load: Callable[..., ModuleType]) -> None:
    first = source_hash(load().train)
    assert first is not None
    assert source_hash(load(comment="b").train) == first


@pytest.mark.parametrize("part", [*NAMED, "decorator"])
def test_a_function_class_or_default_that_it_reads_changes_it(
    load: Callable[..., ModuleType], part: str
) -> None:
    first = source_hash(load().train)
    assert source_hash(load(**{part: "2"}).train) != first


def test_an_object_that_is_called_and_one_that_holds_a_method_change_it(
    load: Callable[..., ModuleType],
) -> None:
    first = source_hash(load().Called(0.1))
    assert first is not None
    assert source_hash(load().Called(0.1)) == first
    assert source_hash(load().Called(0.2)) != first
    assert source_hash(load(called="2").Called(0.1)) != first
    one, two = (source_hash(load().Held(rate).train) for rate in (0.1, 0.2))
    assert one != two


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

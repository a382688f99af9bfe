from __future__ import annotations

import weakref

from mixwise.engine.worker_cache import keeps_something, release_resident, resident


class Large:
    pass


def test_the_same_key_gets_the_same_thing() -> None:
    first = resident("a", Large)
    assert resident("a", Large) is first


def test_another_key_gives_the_old_thing_up_before_the_new_one_is_built() -> None:
    old = weakref.ref(resident("a", Large))

    def build() -> Large:
        assert old() is None
        return Large()

    assert isinstance(resident("b", build), Large)


def test_released_things_are_built_anew() -> None:
    first = resident("a", Large)
    assert keeps_something()
    release_resident()
    assert not keeps_something()
    assert resident("a", Large) is not first

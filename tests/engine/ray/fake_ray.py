"""What the engine asks of Ray, in threads of this process: for what a real cluster does rarely."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from types import SimpleNamespace
from typing import Any

from mixwise.engine.cluster import find_versions
from mixwise.engine.protocol import Stopped
from mixwise.engine.ray.seat import Outcome, Placed


class RayError(Exception):
    pass


class RayTaskError(RayError):
    cause = None


class ActorDiedError(RayError):
    pass


class KillsItsProcess(Exception):  # noqa: N818 - raised by a job to tell the fake
    """The process of the job is killed."""


class LosesItsSeat(Exception):  # noqa: N818
    """The node of the job is lost."""


class QuickSeat:
    """A seat whose jobs run in threads."""

    def __init__(self, host: str, versions: dict[str, str]) -> None:
        self.host, self.versions = host, versions
        self.has_folder = True
        self.stopped = threading.Event()
        self.is_closing = False
        self.at = 0

    def place(self) -> Placed:
        return Placed(self.host, self.versions, self.has_folder)

    def work(self, function: Callable[..., Any], jobs: Sequence[Any], index: int) -> Outcome:
        if self.is_closing:
            return Outcome(None, RuntimeError("cannot schedule new futures after shutdown"))
        self.stopped.clear()

        def on_step(step: int) -> None:
            self.at = step
            if self.stopped.is_set():
                raise Stopped

        try:
            return Outcome(function(jobs[0].result()[index], on_step), warnings=("said",))
        except KillsItsProcess:
            return Outcome(None, RuntimeError("killed"), is_killed=True)
        except LosesItsSeat:
            raise ActorDiedError("a table\nits node is gone") from None
        except RayTaskError:
            raise
        except Exception as error:
            return Outcome(None, error)

    def step(self) -> int:
        return self.at

    def stop(self) -> None:
        self.is_closing = True
        self.stopped.set()
        time.sleep(0.1)  # the job has ended before its processes have
        self.is_closing = False


class Method:
    def __init__(self, actor: Actor, name: str) -> None:
        self.actor, self.name = actor, name

    def remote(self, *arguments: Any) -> Future[Any]:
        return self.actor.call(self.name, arguments)


class Actor:
    """A handle; calls run in threads once there is room."""

    def __init__(self, ray: FakeRay, number: int) -> None:
        self.ray = ray
        self.seat = QuickSeat(f"node{number}", ray.versions)
        self.is_dead = threading.Event()
        self.refs: list[Future[Any]] = []

    def __getattr__(self, name: str) -> Method:
        return Method(self, name)

    def call(self, name: str, arguments: Sequence[Any]) -> Future[Any]:
        ref: Future[Any] = Future()
        self.refs.append(ref)

        def do() -> None:
            try:
                if name == "place":
                    self.ray.make_room(self)
                found = getattr(self.seat, name)(*arguments)
            except BaseException as error:
                outcome = partial_set(ref.set_exception, error)
            else:
                outcome = partial_set(ref.set_result, found)
            if not ref.done():
                outcome()

        threading.Thread(target=do, daemon=True).start()
        return ref


def partial_set(setter: Callable[[Any], None], value: Any) -> Callable[[], None]:
    return lambda: setter(value)


class FakeRay:
    """The package, connected.

    Args:
        room: Seats that may be placed at once.
    """

    exceptions = SimpleNamespace(RayError=RayError, RayTaskError=RayTaskError)

    def __init__(self, room: int = 2) -> None:
        self.room = threading.Semaphore(room)
        self.versions = find_versions()
        self.actors: list[Actor] = []
        self.asked: list[dict[str, Any]] = []
        self.starts = True

    def make_room(self, actor: Actor) -> None:
        if not self.starts:
            raise ActorDiedError("in its constructor\nModuleNotFoundError: mixwise")
        while not self.room.acquire(timeout=0.01):
            if actor.is_dead.is_set():
                raise ActorDiedError("never placed")

    def put(self, value: Any) -> Future[Any]:
        ref: Future[Any] = Future()
        ref.set_result(value)
        return ref

    def get(self, ref: Future[Any], timeout: float | None = None) -> Any:
        return ref.result(timeout)

    def wait(
        self, refs: Sequence[Future[Any]], num_returns: int = 1, timeout: float = 0
    ) -> tuple[list[Future[Any]], list[Future[Any]]]:
        until = time.monotonic() + timeout
        while True:
            wait(refs, max(until - time.monotonic(), 0), FIRST_COMPLETED)
            done = [ref for ref in refs if ref.done()][:num_returns]
            if len(done) == num_returns or time.monotonic() >= until:
                return done, [ref for ref in refs if ref not in done]
            time.sleep(0.01)

    def remote(self, kind: type) -> FakeRay:
        return self

    def options(self, **options: Any) -> SimpleNamespace:
        self.asked.append(options)

        def start(*arguments: Any) -> Actor:
            self.actors.append(Actor(self, len(self.actors)))
            return self.actors[-1]

        return SimpleNamespace(remote=start)

    def kill(self, actor: Actor) -> None:
        actor.is_dead.set()
        self.room.release()
        for ref in actor.refs:
            if not ref.done():
                ref.set_exception(ActorDiedError("killed"))

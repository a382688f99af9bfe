from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.engine.test_local import OnStep, ignore
from tests.training.jobs import make_job

from mixwise.engine.cluster import Host
from mixwise.engine.local import LocalEngine
from mixwise.engine.protocol import Engine, Finished, Stopped
from mixwise.engine.storage import engine as module
from mixwise.engine.storage import store as store_module
from mixwise.engine.storage.engine import Output, StoredEngine, Traffic, survey_stores
from mixwise.engine.storage.state import Written
from mixwise.errors import MixwiseWarning, ResourceError
from mixwise.testing import check_engine
from mixwise.training.launch import train
from mixwise.training.travel import output_of, written_in


@dataclass
class Hosts:
    """An engine whose jobs run in turn on hosts with folders of their own."""

    root: Path
    n_workers: int = 2
    n_jobs: int = 0

    def run(
        self,
        function: Callable[[Any, OnStep], Any],
        jobs: Sequence[Any],
        on_step: Callable[[int, int], None],
    ) -> Iterator[Finished[Any]]:
        for index, job in enumerate(jobs):
            here = os.environ["MIXWISE_CACHE"]
            os.environ["MIXWISE_CACHE"] = str(self.root / f"host-{self.n_jobs % 2}")
            self.n_jobs += 1
            try:
                result = function(job, lambda step, index=index: on_step(index, step))
            finally:
                os.environ["MIXWISE_CACHE"] = here
            yield Finished(index, result)

    def close(self) -> None:
        """Nothing runs."""


@dataclass(frozen=True)
class Copy:
    """A job: copy a file into a folder, a line a step."""

    source: Path
    folder: Path


def copy_lines(job: Copy, on_step: OnStep) -> str:
    job.folder.mkdir(parents=True, exist_ok=True)
    done = job.folder / "lines"
    begun = done.read_text() if done.exists() else ""
    for number, line in enumerate(job.source.read_text().splitlines()[begun.count("\n") :], 1):
        done.write_text(done.read_text() + f"{line}\n" if done.exists() else f"{line}\n")
        on_step(number)
    (job.folder / "end").write_text("end")
    return begun


def output_of_copy(job: object) -> Output | None:
    return Output(job.folder, "copy") if isinstance(job, Copy) else None


def lines_in(folder: Path) -> Written | None:
    if not (folder / "lines").exists():
        return None
    step = (folder / "lines").read_text().count("\n")
    if (folder / "end").exists():
        return Written(step, True, ("lines", "end"))
    return Written(step, False, ("lines",))


@pytest.fixture
def traffic(tmp_path: Path) -> Traffic:
    (tmp_path / "study").mkdir()
    url = f"file://{tmp_path}/store"
    return Traffic(url, tmp_path / "study", output_of_copy, lines_in)


@pytest.fixture
def job(tmp_path: Path) -> Copy:
    (tmp_path / "source").write_text("one\ntwo\nthree\n")
    return Copy(tmp_path / "source", tmp_path / "study" / "run")


def stop_at(step: int) -> Callable[[int, int], None]:
    def on_step(index: int, done: int) -> None:
        if done >= step:
            raise Stopped

    return on_step


def test_the_contract_of_engines_is_kept(traffic: Traffic, tmp_path: Path) -> None:
    check_engine(StoredEngine(LocalEngine(1, 1), traffic))


def test_a_run_goes_on_elsewhere_and_is_brought_home(
    traffic: Traffic, job: Copy, tmp_path: Path
) -> None:
    hosts = Hosts(tmp_path)
    with pytest.raises(Stopped):
        list(StoredEngine(hosts, traffic).run(copy_lines, [job], stop_at(2)))
    assert not job.folder.exists()
    [done] = StoredEngine(hosts, traffic).run(copy_lines, [job], ignore)
    assert done.result == "one\ntwo\n"
    assert (job.folder / "lines").read_text() == "one\ntwo\nthree\n"
    assert hosts.n_jobs == 2
    assert len(list(tmp_path.glob("host-1/hosts/*/**/source"))) == 1


def test_a_run_that_was_begun_without_the_store_goes_on(
    traffic: Traffic, job: Copy, tmp_path: Path
) -> None:
    job.folder.mkdir()
    (job.folder / "lines").write_text("one\n")
    [done] = StoredEngine(Hosts(tmp_path), traffic).run(copy_lines, [job], ignore)
    assert done.result == "one\n"


def test_a_run_that_is_removed_from_the_study_is_made_anew(
    traffic: Traffic, job: Copy, tmp_path: Path
) -> None:
    hosts = Hosts(tmp_path)
    list(StoredEngine(hosts, traffic).run(copy_lines, [job], ignore))
    for n_hosts in (1, 2, 1):  # on another host, and on both that have it
        shutil.rmtree(job.folder)
        for _ in range(n_hosts - 1):  # told to stop: it goes on, and is not begun once more
            with pytest.raises(Stopped):
                list(StoredEngine(hosts, traffic).run(copy_lines, [job], stop_at(2)))
        [done] = StoredEngine(hosts, traffic).run(copy_lines, [job], ignore)
        assert done.result == ("one\ntwo\n" if n_hosts == 2 else "")
        assert (job.folder / "lines").read_text() == "one\ntwo\nthree\n"


def test_a_run_that_never_came_home_is_not_made_anew(
    traffic: Traffic, job: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts = Hosts(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(StoredEngine, "_bring_home", fail)  # as where the command is killed
        with pytest.raises(ZeroDivisionError):
            list(StoredEngine(hosts, traffic).run(copy_lines, [job], ignore))
    [done] = StoredEngine(hosts, traffic).run(copy_lines, [job], ignore)
    assert done.result == "one\ntwo\nthree\n"


def fail(*arguments: object) -> None:
    raise ZeroDivisionError


def test_a_study_that_is_lost_gets_its_finished_runs_back(
    traffic: Traffic, job: Copy, tmp_path: Path
) -> None:
    hosts = Hosts(tmp_path)
    list(StoredEngine(hosts, traffic).run(copy_lines, [job], ignore))
    shutil.rmtree(traffic.study)
    traffic.study.mkdir()
    [done] = StoredEngine(hosts, traffic).run(copy_lines, [job], ignore)
    assert done.result == "one\ntwo\nthree\n"


def test_a_damaged_snapshot_in_the_store_is_said_and_made_anew(
    traffic: Traffic, job: Copy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_WAIT_SECONDS", 0.0)
    hosts = Hosts(tmp_path)
    with pytest.raises(Stopped):
        list(StoredEngine(hosts, traffic).run(copy_lines, [job], stop_at(2)))
    [snapshot] = (tmp_path / "store" / "runs").glob("*/files/*")
    snapshot.write_text("one\n")
    with pytest.warns(MixwiseWarning, match=r"tried again|this run begins anew"):
        [done] = StoredEngine(hosts, traffic).run(copy_lines, [job], ignore)
    assert done.result == ""
    assert (job.folder / "lines").read_text() == "one\ntwo\nthree\n"


def test_a_folder_travels_without_what_is_never_read(traffic: Traffic, tmp_path: Path) -> None:
    for name in ("a.json", "sub/b.json", "c.bin", ".d/e.json", "trajectory/2/f.json"):
        (tmp_path / "base" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "base" / name).write_text(name)
    [done] = StoredEngine(Hosts(tmp_path), traffic).run(list_files, [tmp_path / "base"], ignore)
    assert done.result == ["a.json", "sub/b.json"]


def list_files(job: Path, on_step: OnStep) -> list[str]:
    return sorted(p.relative_to(job).as_posix() for p in job.rglob("*") if p.is_file())


def test_each_host_has_its_own_scratch(traffic: Traffic, tmp_path: Path) -> None:
    (tmp_path / "scratch").mkdir()
    (tmp_path / "scratch" / "x").touch()
    own = Traffic(traffic.url, traffic.study, output_of_copy, lines_in, (tmp_path / "scratch",))
    [done] = StoredEngine(Hosts(tmp_path), own).run(list_files, [tmp_path / "scratch"], ignore)
    assert done.result == []


@dataclass(frozen=True)
class Cluster:
    hosts: tuple[Host, ...] = (Host("far", 1, 0, 10**9),)
    is_elsewhere: bool = True

    def open(self, n_workers: int, n_threads: int, n_devices: int) -> Engine:
        raise NotImplementedError

    def call_everywhere(
        self, function: Callable[[Any], Any], job: Any
    ) -> Sequence[tuple[str, Any]]:
        return [("far", function(job))]


def test_a_host_that_cannot_use_the_store_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"file://{tmp_path}/store"
    survey_stores(Cluster(), url)
    answers = iter([open_store(url), ResourceError("no credentials")])

    def answer(url: str) -> object:
        found = next(answers)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(module, "open_store", answer)
    with pytest.raises(ResourceError, match=r"^far: no credentials"):
        survey_stores(Cluster(), url)


open_store = store_module.open_store


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that speaks S3, in this process."""
    server_module = pytest.importorskip("moto.server")
    s3fs = pytest.importorskip("s3fs")
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    server = server_module.ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    s3fs.S3FileSystem.clear_instance_cache()
    s3fs.S3FileSystem().mkdir("bucket")
    yield "s3://bucket/prefix"
    s3fs.S3FileSystem.clear_instance_cache()
    server.stop()


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # of the server's and aiohttp's sockets
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_training_run_moves_between_hosts_by_s3_and_ends_in_the_same_bytes(
    s3: str, pico_base: Path, tmp_path: Path
) -> None:
    plain = make_job(pico_base, tmp_path, "plain", method="lora")
    train(plain, lambda step: None)
    moved = plain.model_copy(
        update={"output": tmp_path / "study" / "run", "base_name": str(pico_base)}
    )
    (tmp_path / "study").mkdir()
    traffic = Traffic(s3, tmp_path / "study", output_of, written_in)
    hosts = Hosts(tmp_path)
    with pytest.raises(Stopped):
        list(StoredEngine(hosts, traffic).run(train, [moved], stop_at(7)))
    steps: list[int] = []
    [done] = StoredEngine(hosts, traffic).run(train, [moved], lambda index, k: steps.append(k))
    assert steps[0] == 8
    assert done.result.files == train(plain, lambda step: None).files
    assert train(moved, lambda step: None) == done.result  # it is here, and whole
    assert written_in(moved.output) is not None

"""Run the tests with the newest releases, and tell which upstream release breaks what.

Run by `make test-latest`, in an environment that ignores the lock. Arguments go to pytest.

    python -m tools.latest -m "not slow"

Method:
    What fails is run again with one direct dependency at a time put back to its locked release: the
    tests that then pass are broken by that release. What no single one mends is run with all
    releases put back: it is broken by several together, or it fails with the locked ones too.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tools.lock import LOCK
from tools.lower_bounds import PROJECT, requirements

COLLECTION = "the collection of the tests"
_OURS = ("mixwise", "torch", "pip", "setuptools")  # neither is taken from the lock
_PIN = re.compile(r"(?m)^([\w.-]+)==([^\s;\\]+)\s*(?:;\s*([^\\\n]+?))?\s*\\?$")


@dataclass(frozen=True, slots=True)
class Change:
    """A package whose installed release is not the locked one."""

    name: str
    locked: str
    installed: str

    def __str__(self) -> str:
        return f"{self.name} {self.locked} -> {self.installed}"


@dataclass(frozen=True, slots=True)
class Blame:
    """Tests that fail, and whose release breaks them.

    Args:
        broken_by: Tests that pass again once this release alone is put back.
        together: Those that pass only once all releases are put back.
        anyway: Those that fail with the locked releases too.
    """

    broken_by: Mapping[Change, frozenset[str]]
    together: frozenset[str]
    anyway: frozenset[str]


def parse_pins(lock: str) -> dict[str, str]:
    r"""Locked version of every package that this machine and Python need.

    Example:
        >>> parse_pins("a==1.0\n    --hash=x\nb==2 ; python_version < '3'\n    --hash=y\n")
        {'a': '1.0'}
    """
    return {
        canonicalize_name(name): version
        for name, version, marker in _PIN.findall(lock)
        if not marker or Marker(marker).evaluate()
    }


def find_changes(pins: Mapping[str, str], installed: Mapping[str, str]) -> list[Change]:
    """Packages of the lock that are installed in another release."""
    return [
        Change(name, locked, installed[name])
        for name, locked in sorted(pins.items())
        if installed.get(name, locked) != locked
    ]


def find_blame(
    failed: frozenset[str],
    changes: Sequence[Change],
    direct: frozenset[str],
    still_failing: Callable[[Sequence[Change], frozenset[str]], frozenset[str]],
) -> Blame:
    """Put releases back, alone and all together, and see which tests each mends.

    Args:
        failed: Tests that fail with the newest releases.
        changes: Packages whose release differs from the locked one.
        direct: Names of the packages that mixwise itself asks for.
        still_failing: Runs some tests with some releases put back; gives those that fail.
    """
    broken_by: dict[Change, frozenset[str]] = {}
    left = failed
    for change in changes:
        if change.name in direct:
            mended = failed - still_failing([change], failed)
            if mended:
                broken_by[change] = mended
                left -= mended
    anyway = still_failing(changes, left) if left and changes else left
    return Blame(broken_by, left - anyway, anyway)


def describe(blame: Blame) -> Iterator[str]:
    """Lines that say what is broken and by what."""
    groups = [(f"broken by {change}", tests) for change, tests in blame.broken_by.items()]
    groups += [
        ("broken by several new releases together, or by an indirect one", blame.together),
        ("fails with the locked releases too", blame.anyway),
    ]
    for words, tests in groups:
        if tests:
            yield f"{words}: {len(tests)} test(s)"
            yield from (f"    {test}" for test in sorted(tests))


def installed_releases() -> dict[str, str]:
    """Version of every package of this environment."""
    listed = _pip("list", "--format", "json").stdout
    return {canonicalize_name(row["name"]): row["version"] for row in json.loads(listed)}


def run_tests(arguments: Sequence[str]) -> frozenset[str]:
    """Run pytest and give the tests, or files of tests, that fail."""
    cache = Path(tempfile.mkdtemp(prefix="mixwise-latest-"))
    command = [sys.executable, "-m", "pytest", "-o", f"cache_dir={cache}", *arguments]
    try:
        code = subprocess.run(command, check=False).returncode
        record = cache / "v" / "cache" / "lastfailed"
        failed = frozenset(json.loads(record.read_text())) if record.is_file() else frozenset[str]()
    finally:
        shutil.rmtree(cache)
    return failed if failed or code == 0 else frozenset({COLLECTION})


def run_again(changes: Sequence[Change], tests: frozenset[str]) -> frozenset[str]:
    """Run tests with some releases put back, and undo that."""
    before = installed_releases()
    done = _pip("install", *(f"{change.name}=={change.locked}" for change in changes))
    if done.returncode:
        print(f"cannot be put back: {', '.join(map(str, changes))}: {done.stderr}", flush=True)
        return tests
    print(f"--- with {', '.join(map(str, changes))} put back", flush=True)
    targets = ["--collect-only", "tests"] if tests == {COLLECTION} else sorted(tests)
    failed = run_tests(["-q", "--tb=no", *targets])
    after = installed_releases()
    moved = [f"{name}=={old}" for name, old in before.items() if after.get(name) != old]
    if _pip("install", "--no-deps", *moved).returncode:
        raise SystemExit(f"tools.latest: cannot go back to {', '.join(moved)}")
    return tests if failed == {COLLECTION} else tests & failed


def _pip(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pip", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def main() -> int:
    """Run the tests, print what has changed since the lock, and what that breaks."""
    pins = parse_pins(LOCK.read_text(encoding="utf-8"))
    names = {Requirement(r).name for r in requirements(PROJECT.read_text(encoding="utf-8"))}
    direct = frozenset(canonicalize_name(name) for name in names)
    failed = run_tests(sys.argv[1:])
    changes = [c for c in find_changes(pins, installed_releases()) if c.name not in _OURS]
    print(f"{len(changes)} of {len(pins)} locked packages have newer releases", flush=True)
    for change in changes:
        print(f"    {change}{'' if change.name in direct else '  (indirect)'}", flush=True)
    if failed:
        for line in describe(find_blame(failed, changes, direct, run_again)):
            print(line, flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixwise.engine.main_script import require_loaded_script, unloaded_script
from mixwise.errors import ScriptError

SCRIPT = """\
from mixwise.engine import local
from tests.engine.test_local import ignore, square

local._IMPORTED_ONCE = []  # the jobs need no model
BEGINNING
    print(next(iter(local.LocalEngine(1, 1).run(square, [3], ignore))).result)
"""


def run(folder: Path, beginning: str) -> subprocess.CompletedProcess[str]:
    script = folder / "study it.py"
    script.write_text(SCRIPT.replace("BEGINNING", beginning))
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    return subprocess.run(
        [sys.executable, script], env=environment, capture_output=True, text=True, check=False
    )


def test_a_script_that_begins_its_work_anew_in_workers_is_told_so(tmp_path: Path) -> None:
    done = run(tmp_path, "if True:")
    assert done.returncode == 1
    *_, last = done.stderr.splitlines()
    assert "ScriptError" in last
    assert "study it.py: its worker processes load it again" in last
    assert 'below `if __name__ == "__main__":`' in last
    assert "study it.py: begins its work while a worker process loads it" in done.stderr


def test_so_is_one_that_workers_cannot_load_for_another_reason(tmp_path: Path) -> None:
    done = run(tmp_path, 'if __name__ != "__main__":\n    1 / 0\nelse:')
    assert "ZeroDivisionError" in done.stderr
    assert "ended in an error there (printed above)" in done.stderr.splitlines()[-1]


def test_a_script_that_begins_only_as_itself_is_fine(tmp_path: Path) -> None:
    assert run(tmp_path, 'if __name__ == "__main__":').stdout == "9\n"


def test_only_a_process_that_loads_the_script_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    require_loaded_script()
    process = multiprocessing.current_process()
    monkeypatch.setattr(process, "_inheriting", True, raising=False)
    with pytest.raises(ScriptError, match=r"while a worker process loads it .* `if __name__"):
        require_loaded_script()
    assert "printed above" in str(unloaded_script())

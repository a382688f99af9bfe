import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_damage_is_used_and_each_is_repaired_or_refused_by_name() -> None:
    """A dozen of the corruptions; all of them: `python -m trials.corruption`."""
    command = [sys.executable, "-m", "trials.corruption", "--few"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    last = done.stdout.splitlines()[-1]
    assert last.endswith("passed, 0 failed")
    assert int(last.split()[0]) >= 12

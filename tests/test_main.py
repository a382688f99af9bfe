import subprocess
import sys

import mixwise


def test_the_package_is_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mixwise", "--help"], capture_output=True, text=True, check=True
    )
    for command in ("init", "check", "run", "score", "export"):
        assert command in done.stdout
    assert mixwise.__version__

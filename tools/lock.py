"""Write requirements.lock: every package that mixwise and its tests need, by version and hash.

Versions are the newest that fit together, for Linux, macOS and Windows and every Python that
mixwise supports; hashes are those of all files of a release, so plain pip installs the lock
anywhere. torch, and what its builds for a GPU bring, stay outside: which build is wanted is the
machine's affair, and the Makefile names it.

    python -m tools.lock --uv .venv-lock/bin/uv --torch torch==2.13.0

Source:
    `uv pip compile --universal --generate-hashes`.
"""

from __future__ import annotations

import argparse
import re
import subprocess
from pathlib import Path

LOCK = Path("requirements.lock")
_HEADER = "# Made by `make lock`. torch is not here: the Makefile names its build.\n"
_OUTSIDE = re.compile(r"(torch|triton|nvidia-.*|cuda-.*)==")
_COMPILE = (
    *("pip", "compile", "pyproject.toml", "-", "--extra", "dev", "--quiet", "--upgrade"),
    *("--universal", "--generate-hashes", "--no-header", "--no-annotate", "--no-emit-index-url"),
)


def keep_locked(compiled: str) -> str:
    r"""Leave out torch and the packages that only its builds for a GPU need.

    Args:
        compiled: Requirements, each on a line of its own with its hashes indented below it.

    Example:
        >>> keep_locked("numpy==2.4\n    --hash=a\ntorch==2.13\n    --hash=b\n")
        'numpy==2.4\n    --hash=a\n'
    """
    blocks = re.split(r"(?m)^(?=\S)", compiled)
    return "".join(block for block in blocks if not _OUTSIDE.match(block))


def main() -> None:
    """Resolve, and write the lock."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--uv", required=True, help="uv's command")
    parser.add_argument(
        "--torch", required=True, help="the build's requirement, as in the Makefile"
    )
    chosen = parser.parse_args()
    found = subprocess.run(
        [chosen.uv, *_COMPILE], input=chosen.torch, capture_output=True, text=True, check=False
    )
    if found.returncode:
        raise SystemExit(f"tools.lock: no versions fit together: {found.stderr}")
    LOCK.write_text(_HEADER + keep_locked(found.stdout), encoding="utf-8")


if __name__ == "__main__":
    main()

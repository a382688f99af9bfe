"""Torch's launcher of processes, ended by whatever ends the process that has asked for it.

Started as ``python -m mixwise.training.launcher PID …`` with the arguments of
``torch.distributed.run``. Its own processes watch PID themselves; while it waits for other hosts it
has none.
"""

from __future__ import annotations

import sys

from torch.distributed import run

from mixwise.engine.local import end_without_process


def main() -> None:
    """Start the processes of this host, and wait for them."""
    end_without_process(int(sys.argv[1]))
    run.main(sys.argv[2:])


if __name__ == "__main__":
    main()

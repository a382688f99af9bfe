"""Entry of one run that is spread over several processes.

Started as ``mixwise.training.launcher … -m mixwise.training.worker JOB.json PID``; prints the
number of finished steps, a line each, on standard output, ends when the process PID is gone, and
stops with a snapshot when the file ``.training/stop`` appears in the run's folder.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mixwise.engine.local import end_without_process
from mixwise.engine.protocol import Stopped
from mixwise.errors import MixwiseError
from mixwise.training.finetune import finetune_prepared
from mixwise.training.job import ERROR_PREFIX, TrainingJob
from mixwise.training.run_folder import STOP, WORK


def main() -> None:
    """Train the job whose file is named on the command line; exit 1 with one line on an error."""
    end_without_process(int(sys.argv[2]))
    job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_bytes())
    stop = job.output / WORK / STOP

    def on_step(step: int) -> None:
        print(step, flush=True)
        if stop.exists():
            raise Stopped

    try:
        finetune_prepared(job, on_step)
    except Stopped:
        return  # whoever asked for it knows
    except MixwiseError as error:
        sys.exit(f"{ERROR_PREFIX}{error}")


if __name__ == "__main__":
    main()

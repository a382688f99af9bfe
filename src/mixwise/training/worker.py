"""Entry of one run that is spread over several processes by ``accelerate launch``.

Started as ``accelerate launch … -m mixwise.training.worker JOB.json``; prints the number of finished
steps, a line each, on standard output.
"""

from __future__ import annotations

import sys
from pathlib import Path

from mixwise.errors import MixwiseError
from mixwise.training.finetune import finetune
from mixwise.training.job import TrainingJob


def main() -> None:
    """Train the job whose file is named on the command line; exit 1 with one line on an error."""
    job = TrainingJob.model_validate_json(Path(sys.argv[1]).read_bytes())
    try:
        finetune(job, lambda step: print(step, flush=True))
    except MixwiseError as error:
        sys.exit(f"mixwise: {error}")


if __name__ == "__main__":
    main()

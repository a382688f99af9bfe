"""What lm-eval's process does before it asks the model: start, load, build; a script of its own.

``FOLDER TASKS TASK``: a checkpoint, a folder of YAML files, a task's name.
"""

from __future__ import annotations

import json
import sys
import time

_N_ANSWERS = 40


def main() -> None:
    """Print the CPU seconds of each part, and the answers to the first requests, as JSON."""
    folder, tasks, name = sys.argv[1:]
    from lm_eval.evaluator import simple_evaluate  # noqa: F401  # it is what the command imports
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    marks = [time.process_time()]
    model = HFLM(pretrained=folder, dtype="float32", device="cpu")
    marks.append(time.process_time())
    task = TaskManager(include_path=tasks).load([name])["tasks"][name]
    task.build_all_requests(rank=model.rank, world_size=model.world_size)
    marks.append(time.process_time())
    parts = {"start": marks[0], "load": marks[1] - marks[0], "build": marks[2] - marks[1]}
    answers = model.loglikelihood(task.instances[:_N_ANSWERS], disable_tqdm=True)
    log_likelihoods = [answer[0] for answer in answers]
    print(json.dumps({"n": len(task.instances), "parts": parts, "answers": log_likelihoods}))


if __name__ == "__main__":
    main()

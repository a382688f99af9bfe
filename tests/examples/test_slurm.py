from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from mixwise.api import Study

SLURM = Path(__file__).parents[2] / "examples" / "slurm"
SBATCH = """\
#!/bin/bash
# Runs the jobs of an array at once, and a wrapped command after them, as their queue would.
array= wrap=
while [[ ${1:-} == --* ]]; do
  case $1 in
    --array=0-*) array=${1#--array=0-} ;;
    --wrap) shift; wrap=$1 ;;
  esac
  shift
done
if [[ -n $wrap ]]; then exec bash -c "$wrap"; fi
pids=()
for task in $(seq 0 "$array"); do
  SLURM_ARRAY_TASK_ID=$task bash "$@" > "$LOGS/$task" 2>&1 &
  pids+=($!)
done
for pid in "${pids[@]}"; do wait "$pid" || exit 1; done
echo 123
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A place with the two commands that the scripts call."""
    commands = {
        "sbatch": SBATCH,
        "mixwise": f'#!/bin/bash\nexec {sys.executable} -m mixwise "$@"\n',
    }
    place = tmp_path / "bin"
    place.mkdir()
    for name, text in commands.items():
        (place / name).write_text(text)
        (place / name).chmod(0o755)
    (tmp_path / "logs").mkdir()
    path = f"{place}:{os.environ['PATH']}"
    return os.environ | {"PATH": path, "LOGS": str(tmp_path / "logs")}


def tensors(study: Path) -> dict[str, bytes]:
    files = sorted(study.glob("experts/*/model.safetensors"))
    return {file.parent.name: file.read_bytes() for file in files}


@pytest.mark.slow
def test_the_scripts_make_a_study_whose_experts_are_trained_side_by_side(
    pico: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    recipe = pico / "recipe.yaml"
    asked = recipe.read_text().split("validation:")[0]
    recipe.write_text(f"{asked}final: {{train: false}}\nengine: {{workers: 1, threads: 1}}\n")
    study = tmp_path / "study"
    names = ("alpha", "beta", "gamma")
    command = ["bash", SLURM / "study.sh", recipe, study, *names]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    logs = [file.read_text() for file in sorted((tmp_path / "logs").iterdir())]
    assert done.returncode == 0, (done.stdout, done.stderr, logs)
    assert len(logs) == 3
    for name, log in zip(names, logs, strict=True):
        assert str(study / "experts" / name) in "".join(log.split())
    assert (study / "recommendation.json").is_file()
    with Study.create(tmp_path / "alone", recipe) as alone:
        alone.check()
        alone.train_experts()
    assert tensors(study) == tensors(tmp_path / "alone")


def test_the_job_file_trains_one_expert(
    pico: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    study = tmp_path / "study"
    with Study.create(study, pico / "recipe.yaml") as opened:
        opened.check()
    command = ["bash", SLURM / "experts.sbatch", study, "alpha", "beta"]
    environment["SLURM_ARRAY_TASK_ID"] = "1"
    subprocess.run(command, env=environment, capture_output=True, check=True)
    assert [file.parent.name for file in study.glob("experts/*/run.json")] == ["beta"]

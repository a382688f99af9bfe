#!/bin/bash
# A whole study by SLURM, on a disk that all nodes share: bash study.sh recipe.yaml study math code chat
set -eu
here=$(dirname "$0")
recipe=$1 study=$2
shift 2
mixwise check "$recipe" --study "$study" --create
experts=$(sbatch --parsable --array=0-$(($# - 1)) "$here/experts.sbatch" "$study" "$@")
sbatch --dependency="afterok:$experts" --gpus-per-task=1 --cpus-per-task=8 \
  --wrap "mixwise run '$recipe' --study '$study'"

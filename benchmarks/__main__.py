"""Run all benchmarks, or those that are named, each in a process of its own: ``make bench``."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys

from benchmarks.claims import load_claims, print_claims

SCRIPTS = {
    "time_per_candidate": "merge and evaluate, against evaluating alone",
    "adapters": "a batch of LoRA candidates, against one forward pass each",
    "disk_route": "mergekit, a new process and a load, against memory",
    "harness": "one process of lm-eval a candidate, against its task in process",
    "memory": "memory beside the model's own, with 4 to 32 experts",
    "streaming": "one layer at a time, against the whole model",
    "slopes": "loss and all slopes, against the loss alone",
    "precision": "error of the score from the precision of store and model",
    "search": "tokens until the best proxy score, against published searches",
    "demo_search": "the demo's search by each method",
    "subsets": "evaluations until the exhaustive answer",
    "racing": "tokens saved at a stated error",
    "accuracy": "error and rank of every merge rule, against trained models",
    "causes": "curvature, noise and the shape of what merging misses",
    "regret": "regret against tokens, beside published methods",
    "price": "regret against price, beside published methods",
    "steps": "longer steps in weight space, averages along a run",
    "schedules": "constant-rate experts, a final run that lowers its rate",
    "many": "sixteen domains: short experts of each beside longer ones of groups",
    "jumps": "searching for accuracy: examples against regret, on real classifiers",
    "merge_to_mix": "Merge to Mix as published, on drawings and sentences",
    "verdict": "which diagnostics tell how good the proxy is",
    "transfer": "what is best narrow or short, taken wide or long",
    "horizons": "short experts against trained mixtures, by every way to continue them",
    "repetition": "scarce domains: matched repetition, and what a cap costs",
    "cluster": "a Ray cluster of two nodes, against workers of this machine",
    "cost": "the estimate for devices elsewhere, against a study on one core",
    "units": "frivolous units over the width of a network",
    "units_labelled": "frivolous units of classifiers against what their merges miss",
    "simulate": "a study's queue on a thousand devices that fail",
}
_WITHOUT_MODELS = (
    "search",
    "subsets",
    "racing",
    "accuracy",
    "causes",
    "regret",
    "price",
    "steps",
    "schedules",
    "many",
    "jumps",
    "merge_to_mix",
    "verdict",
    "transfer",
    "horizons",
    "repetition",
    "cluster",
    "cost",
    "units_labelled",
    "simulate",
)
_RESULTS = {"accuracy": "accuracy-report"}  # where results are not named like their script


def main() -> None:
    """Run, then print one table of everything that has results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *SCRIPTS], help="default: all")
    parser.add_argument("--scratch", help="folder that keeps models between scripts and runs")
    given = parser.parse_args()
    names = given.names or list(SCRIPTS)
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    failed = []
    for name in names:
        print(f"\n== {name}: {SCRIPTS[name]}", flush=True)
        command = [sys.executable, "-m", f"benchmarks.{name}"]
        if given.scratch and name not in _WITHOUT_MODELS:
            command += ["--scratch", given.scratch]
        if subprocess.run(command, env=environment, check=False).returncode:
            failed.append(name)
    print("\n== all\n")
    missed = []
    for name in names:
        claims = load_claims(_RESULTS.get(name, name))
        if claims:
            print_claims(name, claims)
        missed += [f"{name}: {c.what}" for c in claims if c.verdict == "missed"]
    if failed or missed:
        sys.exit("\n".join([*(f"failed: {name}" for name in failed), *missed]))


if __name__ == "__main__":
    main()

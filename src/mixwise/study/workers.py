"""How many jobs of a recipe run at once on this machine."""

from __future__ import annotations

from dataclasses import dataclass

from mixwise.engine.devices import choose_device, n_cores
from mixwise.errors import ResourceError
from mixwise.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Seats:
    """How many runs at once, each with how many threads and GPUs."""

    n_workers: int
    n_threads: int
    n_devices: int


def choose_seats(recipe: Recipe) -> Seats:
    """Fill ``auto`` in: one run per GPU, or one run per core on the CPU.

    Raises:
        ResourceError: If one run asks for more GPUs than there are.
    """
    engine, parts, cores = recipe.engine, recipe.training.processes_per_run, n_cores()
    device = choose_device(recipe.training.device)
    if device == "cuda":
        import torch

        n_gpus = torch.cuda.device_count()
        if parts > n_gpus:
            raise ResourceError(
                f"`training.processes_per_run` is {parts}, but there are {n_gpus} GPUs: lower it"
            )
        auto_workers = n_gpus // parts
    else:
        auto_workers = 1 if device == "mps" else max(1, cores // parts)
    n_workers = auto_workers if engine.workers == "auto" else engine.workers
    if device == "cuda" and n_workers > auto_workers:
        raise ResourceError(
            f"`engine.workers` is {n_workers}, but the GPUs hold {auto_workers} runs of "
            f"{parts} at once: lower it"
        )
    n_threads = max(1, cores // (n_workers * parts)) if engine.threads == "auto" else engine.threads
    return Seats(n_workers, n_threads, parts if device == "cuda" else 0)

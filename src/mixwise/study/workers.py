"""How many jobs of a recipe run at once, on this machine or on the hosts of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixwise.engine.cluster import Cluster, Host
from mixwise.engine.devices import choose_device, n_cores
from mixwise.engine.engines import find_cluster
from mixwise.errors import ResourceError
from mixwise.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Seats:
    """How many runs at once, each with how many threads and GPUs."""

    n_workers: int
    n_threads: int
    n_devices: int


def cluster_of(recipe: Recipe) -> Cluster:
    """The hosts that a recipe's engine works on; see `find_cluster`."""
    return find_cluster(recipe.engine, recipe.training.processes_per_run)


def choose_seats(recipe: Recipe, most: int | None = None) -> Seats:
    """Fill ``auto`` in: one run per GPU, or one run per core on the CPU.

    Args:
        recipe: The recipe.
        most: Jobs that there are at most: no worker is left for others. None for any number.

    Raises:
        ResourceError: If one run asks for more GPUs, or more cores of a cluster, than there are.
    """
    cluster = cluster_of(recipe)
    if cluster.is_elsewhere:
        return _seats_on(recipe, cluster.hosts, most)
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
    n_workers = min(n_workers, most or n_workers)
    if device == "cuda" and n_workers > auto_workers:
        raise ResourceError(
            f"`engine.workers` is {n_workers}, but the GPUs hold {auto_workers} runs of "
            f"{parts} at once: lower it"
        )
    n_threads = max(1, cores // (n_workers * parts)) if engine.threads == "auto" else engine.threads
    return Seats(n_workers, n_threads, parts if device == "cuda" else 0)


def choose_run_device(recipe: Recipe) -> str:
    """Where models are trained and evaluated: of this machine, or of the hosts of a cluster.

    Raises:
        ResourceError: If a device is asked for that is not there.
    """
    wanted, cluster = recipe.training.device, cluster_of(recipe)
    if not cluster.is_elsewhere:
        return choose_device(wanted)
    has = {"cuda": any(host.n_gpus for host in cluster.hosts), "cpu": True, "mps": False}
    if wanted == "auto":
        return next(device for device, is_there in has.items() if is_there)
    if not has[wanted]:
        raise ResourceError(
            f"`training.device` is `{wanted}`, but no host of the cluster has one: choose `auto`"
        )
    return wanted


def choose_own_device(recipe: Recipe) -> str:
    """Where this process tries the base out: what runs use, or the best of this machine.

    Raises:
        ResourceError: If runs are of this machine, which has no such device.
    """
    return choose_device("auto" if cluster_of(recipe).is_elsewhere else recipe.training.device)


def describe_hosts(recipe: Recipe) -> str | None:
    """What the cluster has, and how many runs go where, in a sentence; None for this machine."""
    cluster = cluster_of(recipe)
    if not cluster.is_elsewhere:
        return None
    seats, hosts = choose_seats(recipe), cluster.hosts
    rooms = [_room(host, recipe, seats.n_threads, seats.n_devices) for host in hosts]
    each = ", ".join(
        f"{host.name} {room} ({_has(host)})" for host, room in zip(hosts, rooms, strict=True)
    )
    waiting = seats.n_workers - sum(rooms)
    more = f"; {waiting} wait(s) for a host that joins" if waiting > 0 else ""
    return (
        f"`engine.cluster: {recipe.engine.cluster}`: {seats.n_workers} job(s) at once, each on "
        f"{_takes(recipe, seats)}; hosts have room for {each}{more}"
    )


def _has(host: Host) -> str:
    gpus = f", {host.n_gpus} GPU(s)" if host.n_gpus else ""
    return f"{host.n_cores} core(s){gpus}, {host.memory_bytes / 1e9:.0f} GB"


def _takes(recipe: Recipe, seats: Seats) -> str:
    gpus = f" and {seats.n_devices} GPU(s)" if seats.n_devices else ""
    return f"{seats.n_threads * recipe.training.processes_per_run} core(s){gpus}"


def _seats_on(recipe: Recipe, hosts: Sequence[Host], at_most: int | None) -> Seats:
    """The same on the hosts of a cluster, where each run stays on one.

    More workers than there is room for are allowed: they wait for hosts that join later.
    """
    engine, parts = recipe.engine, recipe.training.processes_per_run
    on_gpu = choose_run_device(recipe) == "cuda"
    n_devices = parts if on_gpu else 0
    rooms = [(host.n_gpus if on_gpu else host.n_cores) // parts for host in hosts]
    if not any(rooms):
        most = max((host.n_gpus if on_gpu else host.n_cores for host in hosts), default=0)
        what = "GPUs" if on_gpu else "cores"
        raise ResourceError(
            f"`training.processes_per_run` is {parts}, and one run stays on one host, but no host "
            f"of the cluster has more than {most} {what}: lower it"
        )
    n_workers = sum(rooms) if engine.workers == "auto" else engine.workers
    n_workers = min(n_workers, at_most or n_workers)
    if engine.threads != "auto":
        n_threads = engine.threads
    elif on_gpu:
        n_threads = min(h.n_cores // (r * parts) for h, r in zip(hosts, rooms, strict=True) if r)
    else:
        cores = sum(host.n_cores for host in hosts)
        most = max(host.n_cores for host in hosts)
        n_threads = min(cores // (n_workers * parts), most // parts)
    n_threads = max(1, n_threads)
    if not any(_room(host, recipe, n_threads, n_devices) for host in hosts):
        raise ResourceError(
            f"a run takes {n_threads * parts} core(s) of one host (`engine.threads` × "
            "`training.processes_per_run`)"
            + (f" and {engine.memory_gb:g} GB (`engine.memory_gb`)" if engine.memory_gb else "")
            + f", but no host of the cluster has as much: {', '.join(map(_has, hosts))}: lower them"
        )
    return Seats(n_workers, n_threads, n_devices)


def _room(host: Host, recipe: Recipe, n_threads: int, n_devices: int) -> int:
    """Jobs that a host holds at once."""
    room = host.n_cores // (n_threads * recipe.training.processes_per_run)
    if n_devices:
        room = min(room, host.n_gpus // n_devices)
    if recipe.engine.memory_gb:
        room = min(room, int(host.memory_bytes // (recipe.engine.memory_gb * 1e9)))
    return room

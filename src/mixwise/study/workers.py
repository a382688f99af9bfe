"""How many jobs of a recipe run at once, on this machine or on the hosts of a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mixwise.engine.cluster import Cluster, Host, Need
from mixwise.engine.devices import choose_device, n_cores
from mixwise.engine.engines import ENGINES, find_cluster
from mixwise.errors import ResourceError
from mixwise.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Seats:
    """How many runs at once, each with how many GPUs; threads are of each process."""

    n_workers: int
    n_threads: int
    n_devices: int
    is_spread: bool = False  # over several hosts, since none has room for a run


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
    parts = recipe.training.processes_per_run
    rooms = [host.room_for(_need(recipe, seats)) for host in hosts]
    each = ", ".join(
        f"{host.name} {room} ({_has(host)})" for host, room in zip(hosts, rooms, strict=True)
    )
    waiting = seats.n_workers - sum(rooms) // (parts if seats.is_spread else 1)
    more = f"; {waiting} wait(s) for a host that joins" if waiting > 0 else ""
    takes = _takes(recipe, seats)
    each_job = f"over hosts in {parts} processes of {takes}" if seats.is_spread else f"on {takes}"
    return (
        f"`engine.cluster: {recipe.engine.cluster}`: {seats.n_workers} job(s) at once, each "
        f"{each_job}; hosts have room for {each}{more}"
    )


def _has(host: Host) -> str:
    gpus = f", {host.n_gpus} GPU(s)" if host.n_gpus else ""
    return f"{host.n_cores} core(s){gpus}, {host.memory_bytes / 1e9:.0f} GB"


def _takes(recipe: Recipe, seats: Seats) -> str:
    need = _need(recipe, seats)
    return f"{need.n_cores} core(s)" + (f" and {need.n_gpus} GPU(s)" if need.n_gpus else "")


def _need(recipe: Recipe, seats: Seats) -> Need:
    """What must be free on one host: for a run, or for a process of one that is spread."""
    parts, memory = recipe.training.processes_per_run, int((recipe.engine.memory_gb or 0) * 1e9)
    whole = Need(seats.n_threads * parts, seats.n_devices, memory)
    return whole.share(parts) if seats.is_spread else whole


def _seats_on(recipe: Recipe, hosts: Sequence[Host], at_most: int | None) -> Seats:
    """The same on the hosts of a cluster, where a run stays on one, if any has room for it.

    More workers than there is room for are allowed: they wait for hosts that join later.
    """
    on_gpu, parts = choose_run_device(recipe) == "cuda", recipe.training.processes_per_run
    may_spread = parts > 1 and ENGINES.find(recipe.engine.cluster).spreads
    seats = _fit(recipe, hosts, at_most, on_gpu=on_gpu, is_spread=False)
    if seats is None and may_spread:
        seats = _fit(recipe, hosts, at_most, on_gpu=on_gpu, is_spread=True)
    if seats is None:
        raise _no_room(recipe, hosts, on_gpu=on_gpu, may_spread=may_spread)
    return seats


def _fit(
    recipe: Recipe, hosts: Sequence[Host], at_most: int | None, *, on_gpu: bool, is_spread: bool
) -> Seats | None:
    """Seats for as many runs as there is room for, or as are asked for; None without room for one.

    Args:
        recipe: The recipe.
        hosts: Of the cluster.
        at_most: Jobs that there are; None for any number.
        on_gpu: Whether each process takes a GPU.
        is_spread: Whether a run's processes may be on several hosts.
    """
    engine, parts = recipe.engine, recipe.training.processes_per_run
    unit = 1 if is_spread else parts  # processes that stay together
    rooms = [(host.n_gpus if on_gpu else host.n_cores) // unit for host in hosts]
    most_runs = sum(rooms) * unit // parts
    if not most_runs:
        return None
    n_workers = most_runs if engine.workers == "auto" else engine.workers
    n_workers = min(n_workers, at_most or n_workers)
    if engine.threads != "auto":
        n_threads = engine.threads
    elif on_gpu:
        n_threads = min(h.n_cores // (r * unit) for h, r in zip(hosts, rooms, strict=True) if r)
    else:
        cores = [host.n_cores for host in hosts]
        n_threads = min(sum(cores) // (n_workers * parts), max(cores) // unit)
        wanted = min(n_workers, most_runs) * parts if is_spread else 0
        while n_threads > 1 and sum(n // n_threads for n in cores) < wanted:
            n_threads -= 1
    seats = Seats(n_workers, max(1, n_threads), parts if on_gpu else 0, is_spread)
    room = sum(host.room_for(_need(recipe, seats)) for host in hosts)
    return seats if room * unit >= parts else None


def _no_room(
    recipe: Recipe, hosts: Sequence[Host], *, on_gpu: bool, may_spread: bool
) -> ResourceError:
    engine, parts = recipe.engine, recipe.training.processes_per_run
    sizes = [host.n_gpus if on_gpu else host.n_cores for host in hosts]
    what = "GPUs" if on_gpu else "cores"
    each = ", ".join(f"{host.name} {size}" for host, size in zip(hosts, sizes, strict=True))
    if may_spread and sum(sizes) < parts:
        return ResourceError(
            f"`training.processes_per_run` is {parts}, but the cluster has {sum(sizes)} {what} "
            f"({each}): lower it, or let more hosts join"
        )
    if not may_spread and max(sizes, default=0) < parts:
        return ResourceError(
            f"`training.processes_per_run` is {parts}, and one run stays on one host, but no host "
            f"of the cluster has more than {max(sizes, default=0)} {what}: lower it"
        )
    threads = 1 if engine.threads == "auto" else engine.threads
    memory = f" and {engine.memory_gb:g} GB (`engine.memory_gb`)" if engine.memory_gb else ""
    has = ", ".join(map(_has, hosts))
    if may_spread:
        return ResourceError(
            f"a run takes {parts} × {threads} core(s) (`training.processes_per_run` × "
            f"`engine.threads`){memory}, but neither one host of the cluster nor several have as "
            f"much: {has}: lower them, or let more hosts join"
        )
    return ResourceError(
        f"a run takes {threads * parts} core(s) of one host (`engine.threads` × "
        f"`training.processes_per_run`){memory}, but no host of the cluster has as much: {has}: "
        "lower them"
    )

"""What the processes of one run agree on, on one host or several; alone, a process has its own way.

Method:
    Each process may see another disk. They begin with the newest snapshot that all have; and a
    snapshot that ends is given the random states of processes whose files the first does not see,
    so that it holds the whole run wherever it is gone on from.
"""

from __future__ import annotations

from pathlib import Path

import torch

from mixwise.training.run_folder import find_snapshots


def agreed_snapshot(work: Path) -> str | None:
    """The newest snapshot that every process of the run can read; None where there is none.

    Args:
        work: The run's working folder.
    """
    found = find_snapshots(work)
    steps = set(found)
    if is_spread():
        everywhere: list[set[int]] = [set()] * torch.distributed.get_world_size()
        torch.distributed.all_gather_object(everywhere, steps)
        steps = set.intersection(*everywhere)
    return str(found[max(steps)]) if steps else None


def complete_snapshot(snapshot: Path) -> None:
    """Wait until every process has written its part, and have the parts on the first one's disk.

    Args:
        snapshot: Folder of the snapshot.
    """
    if not is_spread():
        return
    rank, n_processes = torch.distributed.get_rank(), torch.distributed.get_world_size()
    files = [snapshot / f"rng_state_{k}.pth" for k in range(n_processes)]
    states: list[bytes] = [b""] * n_processes
    torch.distributed.all_gather_object(states, files[rank].read_bytes())
    if rank == 0:
        for file, state in zip(files, states, strict=True):
            if not file.exists():
                file.write_bytes(state)


def agree_on_stop(is_told: bool, device: torch.device) -> bool:
    """What the first process of a run was told, in all of them: they save together or not.

    Args:
        is_told: Whether this process was told to stop.
        device: Where it trains.
    """
    if not is_spread():
        return is_told
    told = torch.tensor([is_told], dtype=torch.int32, device=device)
    torch.distributed.broadcast(told, 0)
    return bool(told.item())


def leave_together() -> None:
    """Wait for all processes of a run: one that ends early cuts off those that still talk to it."""
    if is_spread():
        torch.distributed.barrier()


def is_spread() -> bool:
    """Whether this process is one of several of a run."""
    return torch.distributed.is_available() and torch.distributed.is_initialized()

"""Faults on a real Ray cluster: nothing is lost, nothing is done twice, the same bytes.

``python -m trials.cluster [--each N] [--storage] [--network] [--wide] [--client]
[WORD ...]`` starts a head and a second node, each a raylet of its own on this host with one core,
runs the main job of a small study on them, and at a random moment breaks something. The same
command is run again until it ends well. Then all that had been finished at that moment must still
be there, as it was, and recommendation, results, the tensors of experts and every value of the
ledger must be those of a study that was never disturbed, on this machine without Ray.

With ``--storage`` the nodes share no disk with the command or with each other: each has an empty
one in the place of the study, data, base and cache (a mount of its own, which needs root on Linux),
and files travel by an S3 server, which is a process of its own and can be full, away or emptied.

With ``--network`` each node is a host by its network: it has an address and a loopback of its own,
and the command runs on the head's. A node can then be cut off without being killed. This needs
root, and iproute2. Both may be asked for.

With ``--wide`` a run has two processes, one on each node, beside one machine that runs both. Where
a fault takes a node another joins, since a run waits for two.

With ``--client`` the command is run on no node, and reaches the cluster by an address of ``ray://``.

WORDs choose the faults whose name holds all of them; each is tried N times.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from trials.cluster.bed import Bed
from trials.cluster.faults import FAULTS, NETWORK_FAULTS, STORE_FAULTS


def main(
    words: Sequence[str],
    n_each: int,
    *,
    has_storage: bool,
    has_network: bool,
    is_wide: bool,
    is_client: bool,
) -> int:
    """Try the faults that are asked for; the number of trials that fail."""
    os.environ["RAY_AUTH_MODE"] = "disabled"
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    of_network, of_store = NETWORK_FAULTS * has_network, STORE_FAULTS * has_storage
    faults = (*FAULTS, *of_network, *of_store)
    chosen = [fault for fault in faults if all(word in fault.name for word in words)]
    rng = random.Random(0)
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # nodes are ended
    with tempfile.TemporaryDirectory() as hidden, tempfile.TemporaryDirectory() as seen:
        bed = Bed(
            Path(hidden),
            Path(seen),
            has_storage=has_storage,
            has_network=has_network,
            is_wide=is_wide,
            is_client=is_client,
        )
        try:
            bed.begin()
            found = [bed.judge(fault, rng, k) for fault in chosen for k in range(n_each)]
        finally:
            bed.close()
    print(
        f"{len(found)} faults: {sum(c.lost for c in found)} lost, "
        f"{sum(c.repeated for c in found)} repeated, {sum(c.different for c in found)} different, "
        f"{sum(bool(c.code) for c in found)} not finished, "
        f"{sum(bool(c.wrong) for c in found)} wrong"
    )
    return sum(not counted.is_passed for counted in found)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="of the faults' names")
    parser.add_argument("--each", type=int, default=2, help="trials of each fault")
    parser.add_argument("--storage", action="store_true", help="no shared disk, but an S3 server")
    parser.add_argument("--network", action="store_true", help="each node a host by its network")
    parser.add_argument("--wide", action="store_true", help="each run takes both nodes")
    parser.add_argument("--client", action="store_true", help="by ray://, from no node")
    asked = parser.parse_args()
    sys.exit(
        main(
            asked.words,
            asked.each,
            has_storage=asked.storage,
            has_network=asked.network,
            is_wide=asked.wide,
            is_client=asked.client,
        )
    )

"""The processes of a run that are on this host, started by torch's own launcher.

Method:
    On one host the launcher finds its processes by itself. Over several one launcher runs on each,
    and all meet at the first one's. Whatever ends this process ends them.
"""

from __future__ import annotations

import fcntl
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
from contextlib import suppress
from dataclasses import dataclass

from mixwise.engine.local import KILLED, WorkerKilledError
from mixwise.engine.protocol import Stopped
from mixwise.engine.team import NotSaidError, Team
from mixwise.errors import TrainingError
from mixwise.training.job import ERROR_PREFIX, OnStep, TrainingJob
from mixwise.training.run_folder import STOP, WORK

_GRACE_SECONDS = 25.0  # within the time that the engine leaves a job
_ERROR_LINE = re.compile(r"(\[rank\d+\]:)?\s*[\w.]*(Error|Exception)\b")  # last of a traceback
_KILLED = "Signal 9 (SIGKILL)"  # of the launcher, of a process that it did not end itself
_SIOCGIFADDR = 0x8915  # Linux: the address of a network interface


@dataclass(frozen=True, slots=True)
class Ended:
    """How the processes of a host have ended: the launcher's exit code, and what they wrote."""

    code: int
    log: str = ""

    def explain(self) -> TrainingError | WorkerKilledError:
        """Our own one-line error if a process wrote one, else what is known."""
        lines = [line for line in self.log.splitlines() if line.strip()]
        ours = [line.removeprefix(ERROR_PREFIX) for line in lines if line.startswith(ERROR_PREFIX)]
        if ours:
            return TrainingError(ours[0])
        if _KILLED in self.log:
            return WorkerKilledError(KILLED)
        errors = [line for line in lines if _ERROR_LINE.match(line)] or lines[-1:]
        said = errors[0] if errors else "it wrote nothing"
        return NotSaidError(f"torch.distributed.run exited with {self.code}: {said}")


def run_processes(job: TrainingJob, on_step: OnStep, team: Team | None) -> Ended:
    """Run the processes of this host to their end.

    Args:
        job: The run.
        on_step: Called with finished steps, which the process of rank 0 reports.
        team: The hosts of the run; None for one.

    Raises:
        Stopped: If `on_step` did; the processes have left a snapshot where there was time.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file, tempfile.TemporaryFile() as log:
        file.write(job.model_dump_json())
        file.flush()
        with subprocess.Popen(
            _command(job, file.name, team),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            start_new_session=True,
            env=os.environ | _variables(team),
        ) as process:
            try:
                for line in process.stdout or ():
                    if line.strip().isdigit():
                        on_step(int(line))
                code = process.wait()
            except Stopped:
                _stop(process, job)
                raise
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        log.seek(0)
        return Ended(code, log.read().decode(errors="replace"))


def _stop(process: subprocess.Popen[str], job: TrainingJob) -> None:
    """Ask the processes of a run to leave a snapshot, and end those that don't in time.

    The worker that this runs in is ended itself some seconds later, if need be, and they with it.
    """
    try:
        (job.output / WORK / STOP).touch()
        process.communicate(timeout=_GRACE_SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        os.killpg(process.pid, signal.SIGKILL)


def _variables(team: Team | None) -> dict[str, str]:
    """What the processes of this host have beside this one's environment."""
    import torch

    found = {"OMP_NUM_THREADS": str(torch.get_num_threads())}
    if team is not None and "GLOO_SOCKET_IFNAME" not in os.environ:
        interface = _interface_of(team.own_address)  # gloo's choice is the one of the host's name
        if interface is not None:
            found["GLOO_SOCKET_IFNAME"] = interface
    return found


def _interface_of(address: str) -> str | None:
    """The network interface that has an address; None where that cannot be told."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, name in socket.if_nameindex():
            with suppress(OSError):  # one without an address, or a system without the call
                asked = struct.pack("256s", name.encode()[:15])
                found = fcntl.ioctl(probe, _SIOCGIFADDR, asked)
                if socket.inet_ntoa(found[20:24]) == address:
                    return name
    return None


def _command(job: TrainingJob, job_file: str, team: Team | None) -> list[str]:
    """Torch's own launcher: accelerate's starts one process alone on a CPU, whatever is asked."""
    if team is None or len(team.n_processes) == 1:
        place, n_here = ["--standalone"], job.settings.processes_per_run
    else:
        place = [
            *("--nnodes", str(len(team.n_processes)), "--node_rank", str(team.rank)),
            *("--master_addr", team.address, "--master_port", str(team.port)),
        ]
        n_here = team.n_processes[team.rank]
    own = str(os.getpid())
    return [
        *(sys.executable, "-m", "mixwise.training.launcher", own, *place),
        *("--nproc_per_node", str(n_here)),
        *("-m", "mixwise.training.worker", job_file, own),
    ]

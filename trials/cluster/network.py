"""Hosts on one machine: network namespaces, each with an address of its own, joined by a bridge.

Needs root on Linux, and `ip` of iproute2. Nothing outside is reached, and nobody outside reaches
the hosts.
"""

from __future__ import annotations

import os
import subprocess

_SUBNET = "10.177.0"  # of private addresses, used by few


class Network:
    """A bridge, and the hosts that are joined to it so far.

    The machine itself is reached from all of them by `here`.
    """

    def __init__(self) -> None:
        self._stem = f"mw{os.getpid() % 100_000}"
        self._hosts: set[int] = set()

    @property
    def here(self) -> str:
        """Address of this machine on the bridge."""
        return f"{_SUBNET}.1"

    def open(self) -> None:
        """Make the bridge."""
        _ip("link", "add", self._stem, "type", "bridge")
        _ip("address", "add", f"{self.here}/24", "dev", self._stem)
        _ip("link", "set", self._stem, "up")

    def join(self, number: int) -> None:
        """Make host ``number``, counted from 1, unless it is there; it is cut off no longer."""
        if number in self._hosts:
            self.mend(number)
            return
        host, outer, inner = self._host(number), self._cable(number), "eth0"
        _ip("netns", "add", host)
        self._hosts.add(number)
        _ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", host)
        _ip("link", "set", outer, "master", self._stem, "up")
        for command in (
            ("address", "add", f"{self.address(number)}/24", "dev", inner),
            ("link", "set", inner, "up"),
            ("link", "set", "lo", "up"),
            ("route", "add", "default", "via", self.here),
        ):
            _ip("-netns", host, *command)

    def address(self, number: int) -> str:
        """Of a host."""
        return f"{_SUBNET}.{number + 1}"

    def at(self, number: int) -> list[str]:
        """What a command begins with to be run on a host; its process is the command's."""
        return ["ip", "netns", "exec", self._host(number)]

    def cut(self, number: int) -> None:
        """Pull a host's cable: no packet comes or goes, and nobody is told."""
        _ip("link", "set", self._cable(number), "down")

    def mend(self, number: int) -> None:
        """Put the cable in again."""
        _ip("link", "set", self._cable(number), "up")

    def close(self) -> None:
        """Remove the hosts and the bridge."""
        for number in sorted(self._hosts):
            _ip("link", "delete", self._cable(number))
            _ip("netns", "delete", self._host(number))
        _ip("link", "delete", self._stem)
        self._hosts.clear()

    def _host(self, number: int) -> str:
        return f"{self._stem}-{number}"

    def _cable(self, number: int) -> str:
        return f"{self._stem}v{number}"


def _ip(*arguments: str) -> None:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"ip {' '.join(arguments)}: {done.stderr.strip()}")

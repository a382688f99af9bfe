"""A server that speaks S3, as a process of its own, which can be full or away.

``python -m trials.cluster.s3 HOST PORT FOLDER`` serves until it is killed. While ``FOLDER/full``
exists it takes no object and answers as MinIO does on a full disk; while ``FOLDER/away`` exists it
hangs up on everybody. What it holds is in its memory.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BUCKET = "bucket"
URL = f"s3://{BUCKET}/prefix"
_PATIENCE_SECONDS = 120.0
_FULL = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>XMinioStorageFull</Code><Message>Storage '
    b"backend has reached its minimum free drive threshold.</Message></Error>"
)


@dataclass
class StoreServer:
    """The server's process.

    Args:
        folder: Where it is told to be full or away.
        host: Address at which it is reached.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = field(default_factory=lambda: free_port())
    _process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Serve an empty bucket."""
        self.folder.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "trials.cluster.s3", self.host]
        command += [str(self.port), str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + _PATIENCE_SECONDS
        while not _is_taken(self.host, self.port):
            if time.monotonic() > until or self._process.poll() is not None:
                raise SystemExit((self.folder / "log").read_text()[-2000:])
            time.sleep(0.2)
        import boto3

        found = self.environment
        client = boto3.client(
            "s3",
            endpoint_url=found["AWS_ENDPOINT_URL"],
            region_name=found["AWS_DEFAULT_REGION"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        )
        client.create_bucket(Bucket=BUCKET)

    def empty(self) -> None:
        """Lose all that is in it."""
        self.stop()
        self.start()

    def stop(self) -> None:
        """Kill it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    @property
    def is_full(self) -> bool:
        """Whether it takes nothing more."""
        return (self.folder / "full").exists()

    @is_full.setter
    def is_full(self, told: bool) -> None:
        _mark(self.folder / "full", told)

    @property
    def is_away(self) -> bool:
        """Whether it hangs up on everybody."""
        return (self.folder / "away").exists()

    @is_away.setter
    def is_away(self, told: bool) -> None:
        _mark(self.folder / "away", told)

    @property
    def environment(self) -> dict[str, str]:
        """Variables by which fsspec finds it."""
        return {
            "AWS_ENDPOINT_URL": f"http://{self.host}:{self.port}",
            "AWS_ACCESS_KEY_ID": "trial",
            "AWS_SECRET_ACCESS_KEY": "trial",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def serve(host: str, port: int, folder: Path) -> None:
    """Be the server."""
    from moto.moto_server.werkzeug_app import (
        DomainDispatcherApplication,
        MotoRequestHandler,
        create_backend_app,
    )
    from werkzeug.serving import make_server

    whole = DomainDispatcherApplication(create_backend_app)
    application = _misbehaving(whole, folder)
    server = make_server(host, port, application, threaded=True, request_handler=MotoRequestHandler)
    server.serve_forever()


def _misbehaving(application: Any, folder: Path) -> Callable[..., Iterable[bytes]]:
    """The same application, full or away as long as a file in a folder says so."""

    def answer(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        if (folder / "away").exists():
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            return []
        if environ["REQUEST_METHOD"] in ("PUT", "POST") and (folder / "full").exists():
            start_response("507 Insufficient Storage", [("Content-Type", "application/xml")])
            return [_FULL]
        found: Iterable[bytes] = application(environ, start_response)
        return found

    return answer


def _mark(file: Path, told: bool) -> None:
    if told:
        file.touch()
    else:
        file.unlink(missing_ok=True)


def free_port() -> int:
    """A port that nobody uses now."""
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return int(any_port.getsockname()[1])


def _is_taken(host: str, port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex((host, port)) == 0


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]), Path(sys.argv[3]))

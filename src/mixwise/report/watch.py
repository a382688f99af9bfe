"""The page served while its study runs, to this machine alone.

Method:
    A server on the loopback address with two documents: the page, made of the study's files as
    they are, and its state, which the page asks for every two seconds. Nothing can be changed
    through it. A request must name the loopback address as its host: a page of the web that has
    its own name point here, to read what is served, is refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from mixwise.errors import MixwiseError, ResourceError
from mixwise.report.document import page_around
from mixwise.report.markup import tag
from mixwise.report.page import render_live_page
from mixwise.report.reading import load_contents
from mixwise.study.folder import NOTICES_FILE, RESULT_FILES

LOOPBACK = "127.0.0.1"
_HOSTS = frozenset({LOOPBACK, "localhost", "[::1]"})
_HTML, _JSON = "text/html; charset=utf-8", "application/json"

Lines = Callable[[], Sequence[str]]


class PageServer(ThreadingHTTPServer):
    """Serves one study on the loopback address.

    Args:
        folder: The study.
        lines: Says how far it is.
        port: Where; 0 for any that is free.

    Raises:
        ResourceError: If the port is taken.
    """

    daemon_threads = True

    def __init__(self, folder: Path, lines: Lines, port: int = 0) -> None:
        self.folder = folder
        self.lines = lines
        try:
            super().__init__((LOOPBACK, port), _Handler)
        except OSError as error:
            raise ResourceError(
                f"`--port` {port}: cannot be served on ({error.strerror}): name another port, or "
                "none for any that is free"
            ) from None

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{LOOPBACK}:{self.server_port}/"

    def page(self) -> str:
        """The page as the study is now; one that cannot be read yet says why."""
        version = results_version(self.folder)
        try:
            return render_live_page(load_contents(self.folder), version)
        except MixwiseError as error:
            live = tag("pre", id="live", data_version=version, role="status")
            body = tag("main", tag("p", str(error), class_="missing"), live)
            return page_around(body, "mixwise watch", is_live=True)

    def state(self) -> str:
        """What the page asks for."""
        try:
            lines = list(self.lines())
        except MixwiseError as error:
            lines = [str(error)]
        return json.dumps({"version": results_version(self.folder), "lines": lines})


def results_version(folder: Path) -> str:
    """What changes whenever a result of a study does.

    Args:
        folder: The study.
    """
    stamps = []
    for name in (*RESULT_FILES, NOTICES_FILE):
        try:
            found = (folder / name).stat()
        except OSError:
            continue
        stamps.append(f"{name} {found.st_mtime_ns} {found.st_size}")
    return hashlib.sha256("\n".join(stamps).encode()).hexdigest()[:16]


class _Handler(BaseHTTPRequestHandler):
    """Answers to GET and HEAD; every other method is refused by the server itself."""

    server: PageServer
    server_version = "mixwise"
    sys_version = ""

    def do_GET(self) -> None:  # the name that the server looks for
        """Send the page or its state."""
        self._answer(has_body=True)

    def do_HEAD(self) -> None:  # as above
        """Send what stands before them."""
        self._answer(has_body=False)

    def _answer(self, *, has_body: bool) -> None:
        host = self.headers.get("Host", "").rpartition(":")
        name = host[0] if host[1] and host[2].isdigit() else "".join(host)
        if name not in _HOSTS:
            words = f"this page is for this machine alone: open {self.server.address}\n"
            self._send(HTTPStatus.FORBIDDEN, words, "text/plain", has_body=has_body)
        elif self.path == "/":
            self._send(HTTPStatus.OK, self.server.page(), _HTML, has_body=has_body)
        elif self.path == "/state.json":
            self._send(HTTPStatus.OK, self.server.state(), _JSON, has_body=has_body)
        else:
            self._send(HTTPStatus.NOT_FOUND, "nothing is here\n", "text/plain", has_body=has_body)

    def _send(self, status: HTTPStatus, text: str, kind: str, *, has_body: bool) -> None:
        content = text.encode("utf-8", errors="replace")
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("X-Frame-Options", "DENY")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        if has_body:
            self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: a request every two seconds is no news."""

"""The live page: reports of runs whose ledgers grow, served to browsers on this machine. Read-only.

Every request reads the ledger anew, but facts are computed once for each state of it. Only GET and HEAD exist. On the
loopback address, a request is answered only if it calls the server by the name of this machine's loopback, so that no
page of another site can read it through a name of its own.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from markupsafe import Markup

from al_loop.analysis import open_run
from al_loop.analysis.comparison import compare
from al_loop.analysis.facts import run_facts
from al_loop.analysis.run import Run
from al_loop.analysis.status import RunStatus
from al_loop.errors import AlLoopError, ConfigError, summary
from al_loop.ledger import columns
from al_loop.report import assets
from al_loop.report.comparison_page import comparison_page
from al_loop.report.page import environment, report_page
from al_loop.storage.locate import runs_below

LOOPBACK = ("127.0.0.1", "localhost", "::1")
_AGAIN = "setTimeout(() => location.reload(), 10000);"
_MOST_ON_LIVE_MAP = 20_000  # answers above which the live page has no map, which takes seconds


@dataclass
class _Page:
    """The page of a run for one state of its ledger."""

    version: str = ""
    page: bytes = b""
    lock: threading.Lock = field(default_factory=threading.Lock)


class Dashboard:
    """Pages about runs; safe to use from many threads.

    Args:
        paths: run directories, ledger files, database URLs, and folders of runs, in which new ones are found.
    """

    def __init__(self, paths: Sequence[str]) -> None:
        self._paths = list(paths)
        self._pages: dict[str, _Page] = {}
        self._lock = threading.Lock()

    @property
    def runs(self) -> list[str]:
        """The runs that there are now."""
        return list(dict.fromkeys(run for path in self._paths for run in (runs_below(path) or [path])))

    def answer(self, path: str) -> tuple[HTTPStatus, str, bytes]:
        """Return status, type and content for the path of a request."""
        parts = [part for part in path.partition("?")[0].split("/") if part]
        try:
            if not parts:
                return self._html(self._list())
            if parts == ["compare"]:
                return self._html(self._comparison())
            if parts[0] == "run" and len(parts) in (2, 3) and parts[1].isdecimal():
                runs = self.runs
                if int(parts[1]) < len(runs):
                    if len(parts) == 2:
                        return HTTPStatus.OK, "text/html; charset=utf-8", self._report(runs[int(parts[1])])
                    if parts[2] == "version":
                        with open_run(runs[int(parts[1])]) as run:
                            return HTTPStatus.OK, "text/plain; charset=utf-8", _version(run, run.status()).encode()
        except AlLoopError as error:
            return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain; charset=utf-8", f"{error}\n".encode(errors="replace")
        return HTTPStatus.NOT_FOUND, "text/plain; charset=utf-8", b"there is no such page; / lists the runs\n"

    def _html(self, page: str) -> tuple[HTTPStatus, str, bytes]:
        return HTTPStatus.OK, "text/html; charset=utf-8", page.encode(errors="replace")

    def _list(self) -> str:
        rows: list[dict[str, Any]] = []
        for number, path in enumerate(self.runs):
            row: dict[str, Any] = {"number": number, "path": path.rpartition("@")[2], "problem": "", "status": None}
            try:
                with open_run(path) as run:
                    row["status"] = run.status()
            except AlLoopError as error:
                row["problem"] = summary(error)
            rows.append(row)
        css, policy = Markup(assets.text("page.css")), assets.policy((_AGAIN,))
        return environment().get_template("runs.html").render(runs=rows, css=css, policy=policy, script=Markup(_AGAIN))

    def _comparison(self) -> str:
        with ExitStack() as stack:
            return comparison_page(compare([stack.enter_context(open_run(path)) for path in self.runs]))

    def _report(self, path: str) -> bytes:
        with self._lock:
            entry = self._pages.setdefault(path, _Page())
        with entry.lock, open_run(path) as run:
            status = run.status()
            version = _version(run, status)
            if version != entry.version:
                facts = run_facts(run, status=status, has_map=status.answered <= _MOST_ON_LIVE_MAP)
                entry.page = report_page(facts, live=version).encode(errors="replace")
                entry.version = version
            return entry.page


def _version(run: Run, status: RunStatus) -> str:
    """Return a text that changes with everything that the page shows."""
    state = (*run.ledger.read(columns.version), status.state, status.calls, status.pending, status.in_flight)
    return hashlib.sha256(repr(state).encode()).hexdigest()[:16]


def open_server(dashboard: Dashboard, host: str = LOOPBACK[0], port: int = 8500) -> ThreadingHTTPServer:
    """Return a server that listens, for ``serve_forever``.

    Args:
        dashboard: what it serves.
        host: the address to listen to; the default is reached from this machine alone.
        port: the port; 0: any that is free.

    Raises:
        ConfigError: the address is not available.
    """
    names = {*LOOPBACK, host} if host in LOOPBACK else None

    class Handler(BaseHTTPRequestHandler):
        """Answers GET and HEAD."""

        server_version, sys_version = "al-loop", ""
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._respond(dashboard.answer)

        def do_HEAD(self) -> None:
            self._respond(dashboard.answer)

        def _respond(self, answer: Callable[[str], tuple[HTTPStatus, str, bytes]]) -> None:
            named = (self.headers.get("Host") or "").rsplit(":", 1)[0].strip("[]")
            if names is not None and named not in names:
                status, kind, content = (
                    HTTPStatus.FORBIDDEN,
                    "text/plain; charset=utf-8",
                    b"another name was expected\n",
                )
            else:
                status, kind, content = answer(self.path)
            self.send_response(status)
            for name, value in (
                ("Content-Type", kind),
                ("Content-Length", str(len(content))),
                ("Cache-Control", "no-store"),
                ("X-Content-Type-Options", "nosniff"),
                ("X-Frame-Options", "DENY"),
                ("Referrer-Policy", "no-referrer"),
                ("Cross-Origin-Resource-Policy", "same-origin"),
            ):
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Log nothing."""

    try:
        server = ThreadingHTTPServer((host, port), Handler)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"cannot listen to {host}:{port} ({error}); choose another --port or --host") from None
    server.daemon_threads = True
    return server

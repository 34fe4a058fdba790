"""What the tests' plugins have in common: Docker's plugin protocol on a unix socket, a log of calls, faults on demand.

A program of its own, of the standard library alone. Every call is written to the log as one line of JSON. Before a call
is served, the faults file is read: ``{"NetworkDriver.Join": {"Err": "no"}}`` and the like, see ``Fault``.
"""

from __future__ import annotations

import json
import os
import socketserver
import sys
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
Calls = Mapping[str, Callable[[dict[str, Any]], Answer]]


class Refused(Exception):
    """The call is answered with an error."""


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


def serve(implements: list[str], calls: Calls, error_key: str) -> None:
    """Until killed. Arguments: the socket, the log, the faults file."""
    socket, log, faults = (Path(text) for text in sys.argv[1:4])
    socket.unlink(missing_ok=True)
    known = {"Plugin.Activate": lambda _: {"Implements": implements}, **calls}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            """The log is that of calls."""

        def do_POST(self) -> None:
            method = self.path.removeprefix("/")
            text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            message = json.loads(text or b"{}")
            _note(log, method, message)
            fault = json.loads(faults.read_text() or "{}").get(method) if faults.exists() else None
            late = fault is not None and self._late(fault)
            if fault is not None and not late:
                self._fail(fault)
            elif method not in known:
                self._answer(404, b"404 page not found\n")
            else:
                outcome = _outcome(known[method], message, error_key)
                if late:
                    _note(log, f"{method} done", message)
                self._answer(200, outcome)

        def _late(self, fault: dict[str, Any]) -> bool:
            """``then``: after ``hang`` seconds the call is served after all."""
            if "then" in fault:
                time.sleep(fault["hang"])
            return "then" in fault

        def _fail(self, fault: dict[str, Any]) -> None:
            """``hang``: seconds without an answer; ``die``: the program ends; ``raw``: these bytes are the answer."""
            if "die" in fault:
                os._exit(1)
            if "hang" in fault:
                time.sleep(fault["hang"])
            if "reset" in fault:
                self.close_connection = True
                return
            if "much" in fault:
                self._answer(200, b'{"Filler": "' + b"x" * fault["much"] + b'"}')
                return
            raw = fault["raw"].encode() if "raw" in fault else json.dumps(fault.get("answer", {})).encode()
            self._answer(fault.get("status", 200), raw)

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/vnd.docker.plugins.v1.2+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    Server(str(socket), Handler).serve_forever()


def _note(log: Path, method: str, message: dict[str, Any]) -> None:
    with open(log, "a", encoding="utf-8") as file:
        file.write(json.dumps({"call": method, "message": message}) + "\n")


def _outcome(call: Callable[[dict[str, Any]], Answer], message: dict[str, Any], error_key: str) -> bytes:
    try:
        return json.dumps(call(message)).encode()
    except Refused as error:
        return json.dumps({error_key: str(error)}).encode()

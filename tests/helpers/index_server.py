"""A package index on loopback that wants a password: pypiserver, in a process of its own. `index` is the fixture.

Below `/simple/` it is an index, `/slow/` is the same after a while, `/hang/` never answers, and `/locked/` always says 401.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

import pytest

from helpers.processes import end_all
from helpers.wheels import make_wheel

USER = "me"
PASSWORD = "p@ss:w%o/r#d${HOME}\\'\",?x"
"""All that a URL, a shell, a requirements file or a configuration file could stumble over."""

QUIET = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_CACHE_DIR": "1", "PIP_RETRIES": "0"}
QUIET |= {"UV_NO_CONFIG": "1", "UV_NO_CACHE": "1", "UV_HTTP_RETRIES": "0"}

_SERVER = """
import pypiserver, socketserver, sys, threading, time
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

root, user, password = sys.argv[1:]
app = pypiserver.app(
    roots=[root], password_file=".", authenticate=["list", "download"], disable_fallback=True,
    auther=lambda *given: given == (user, password),
)

def serve(environ, start_response):
    first, _, rest = environ["PATH_INFO"].lstrip("/").partition("/")
    if first == "hang":
        threading.Event().wait()
    if first == "locked":
        start_response("401 Unauthorized", [("WWW-Authenticate", 'Basic realm="x"'), ("Content-Length", "0")])
        return []
    if first == "slow":
        time.sleep(0.5)
        environ["PATH_INFO"] = "/" + rest
    return app(environ, start_response)

class Server(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True

class Quiet(WSGIRequestHandler):
    log_message = print_nothing = lambda *args: None

server = make_server("127.0.0.1", 0, serve, Server, Quiet)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(server.server_port, flush=True)
sys.stdin.read()
"""


class Index(NamedTuple):
    """Where it is."""

    port: int

    def url(self, password: str | None = PASSWORD, path: str = "simple/", user: str = USER) -> str:
        """Return its URL, with credentials that are percent-encoded, or without any for `None`."""
        login = "" if password is None else f"{user}:{quote(password, safe='')}@"
        return f"http://{login}127.0.0.1:{self.port}/{path}"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Index]:
    """A server that has two versions of a package, for one user."""
    root = tmp_path_factory.mktemp("root")
    make_wheel(root, "pocket", "1.0")
    make_wheel(root, "pocket", "2.0")
    command = [sys.executable, "-W", "ignore", "-c", _SERVER, str(root), USER, PASSWORD]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield Index(int(server.stdout.readline()))
    finally:
        end_all([server])


_DATED = """
import http.server, json, os, sys, urllib.parse

root = sys.argv[1]

class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        parts = urllib.parse.urlsplit(self.path).path.strip("/").split("/")
        if parts[0] == "simple":
            names = sorted(name for name in os.listdir(root) if name.startswith(parts[-1] + "-"))
            times = ["20%s0-01-01T00:00:00Z" % name.split("-")[1][0] for name in names]
            files = [
                {"filename": name, "url": f"/{name}", "hashes": {}, "upload-time": time} for name, time in zip(names, times)
            ]
            page = {"meta": {"api-version": "1.1"}, "name": parts[-1], "versions": [], "files": files}
            body = json.dumps(page).encode()
            self.send_response(200 if files else 404)
            self.send_header("Content-Type", "application/vnd.pypi.simple.v1+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    log_message = lambda *args: None

server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *args: Handler(*args, directory=root))
print(server.server_port, flush=True)
import threading
threading.Thread(target=server.serve_forever, daemon=True).start()
sys.stdin.read()
"""


@contextmanager
def dated_index(root: Path) -> Iterator[str]:
    """Serve a directory as it is, and below `/simple/` as an index with times: version 1.0 is of 2010, 2.0 of 2020, etc."""
    command = [sys.executable, "-W", "ignore", "-c", _DATED, str(root)]
    server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        yield f"http://127.0.0.1:{int(server.stdout.readline())}"
    finally:
        end_all([server])


def forget_settings(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """Leave the settings of whoever runs the tests out of it."""
    for name in [name for name in os.environ if name.startswith(("PIP_", "UV_")) or name.lower().endswith("_proxy")]:
        monkeypatch.delenv(name)
    for name, value in {**QUIET, "HOME": str(home), "XDG_CONFIG_HOME": str(home)}.items():
        monkeypatch.setenv(name, value)

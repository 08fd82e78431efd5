"""Servers, and vaurien in front of them, on free ports. Each process is ended by its id."""

import contextlib
import http.server
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.append(str(pathlib.Path(__file__).parents[2] / "examples"))
import live  # noqa: E402

# How long a client waits for a reply, in seconds. `at_once` is far below it.
TIMEOUT = 20

# Variables of vaurien that are set around the tests do not reach it.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("VAURIEN")}


@contextlib.contextmanager
def at_once():
    """Fails if the block takes as long as a client that waits for its time-out."""
    begun = time.monotonic()
    yield
    elapsed = time.monotonic() - begun
    assert elapsed < 5, f"took {elapsed:.1f} s"


@contextlib.contextmanager
def process(command):
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(10)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def until(child, done):
    """Waits until `done`, and returns whether it was before `child` ended."""
    end = time.monotonic() + 30
    while child.poll() is None:
        if done():
            return True
        assert time.monotonic() < end, f"{child.args} is not ready"
        time.sleep(0.01)
    return False


def accepts(address):
    try:
        socket.create_connection(address, timeout=1).close()
    except OSError:
        return False
    return True


@contextlib.contextmanager
def server(command):
    """A server whose command line says `PORT`. Yields its address."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = listener.getsockname()
        with process([str(address[1]) if word == "PORT" else word for word in command]) as child:
            # It ends if another program has taken the port meanwhile.
            if until(child, lambda: accepts(address)):
                yield address
                return
    raise RuntimeError(f"{command} does not start")


def redis_server():
    return server(["redis-server", "--port", "PORT", "--bind", "127.0.0.1", "--save", "", "--loglevel", "warning"])


def memcached():
    user = ["-u", "nobody"] if os.geteuid() == 0 else []
    return server(["memcached", "-l", "127.0.0.1", "-p", "PORT", *user])


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers with 1000 bytes, under `/chunked` in chunks of 100."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.server.seen.append(f"{self.command} {self.path}")
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        if self.path == "/chunked":
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write((b"64\r\n" + b"x" * 100 + b"\r\n") * 10 + b"0\r\n\r\n")
        else:
            self.send_header("Content-Length", "1000")
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(b"x" * 1000)

    do_HEAD = do_POST = do_GET

    def handle(self):
        # vaurien resets its connection where it resets the client's.
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def log_message(self, *_):
        pass


@contextlib.contextmanager
def http_server():
    """An HTTP server that lists in `seen` what it was asked."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        pages.seen = []
        thread = threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield pages
        finally:
            pages.shutdown()
            thread.join()


class Proxy(live.Vaurien):
    """A running vaurien: the client of its API that `examples/live.py` has, and where it listens."""

    def __init__(self, ready):
        self.ready = dict(line.split("=", 1) for line in ready.splitlines())
        super().__init__("http://" + self.ready["VAURIEN_HTTP"])
        self.host = self.ready["VAURIEN_PROXY_HOST"]
        self.port = int(self.ready["VAURIEN_PROXY_PORT"])

    def connections(self):
        """How many connections there were so far. None is opaque: vaurien acts on each of their calls."""
        connections = self.get()["status"]["connections"]
        assert connections["opaque"] == 0
        return connections["total"]

    @contextlib.contextmanager
    def rules(self, *texts):
        """Sets these rules while the block runs."""
        before = self.settled()
        self.put({**before, "rules": list(texts)})
        try:
            yield
        finally:
            self.put(before)

    def sent(self):
        """How many bytes there were so far from clients."""
        return self.get()["status"]["bytes"]["to_backend"]


@contextlib.contextmanager
def vaurien(backend, protocol, *options):
    """vaurien in front of `backend`, without a handler until one is set."""
    with tempfile.TemporaryDirectory() as folder:
        ready = pathlib.Path(folder, "ready")
        command = [os.environ["VAURIEN"], "--proxy", "127.0.0.1:0", "--backend", "{}:{}".format(*backend)]
        command += ["--protocol", protocol, "--seed", "1", "--http", "--http-port", "0", "--ready-file", str(ready)]
        with process([*command, *options]) as child:
            assert until(child, ready.exists), f"{command} ended with {child.returncode}"
            yield Proxy(ready.read_text())

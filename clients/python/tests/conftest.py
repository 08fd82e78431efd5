"""A Redis and an HTTP server on free ports."""

import contextlib
import http.server
import socket
import subprocess
import threading

import pytest
import redis

import vaurien as package


def start_redis(port):
    """A server, or None if another program has taken the port meanwhile."""
    options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--daemonize", "no"]
    server = subprocess.Popen(["redis-server", *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    for line in server.stdout:
        if "Ready to accept connections" in line:
            return server
    server.wait()
    server.stdout.close()
    return None


@pytest.fixture(scope="session")
def redis_server():
    """The address of a Redis."""
    for _ in range(5):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
        if server := start_redis(port):
            break
    else:
        raise RuntimeError("redis-server does not start")
    with server:
        yield f"127.0.0.1:{port}"
        server.terminate()


class Pages(http.server.BaseHTTPRequestHandler):
    """Answers with `hello`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Length", "5")
        self.end_headers()
        self.wfile.write(b"hello")

    do_POST = do_GET

    def handle(self):
        with contextlib.suppress(ConnectionResetError):
            super().handle()

    def log_message(self, *_):
        pass


@pytest.fixture(scope="session")
def http_server():
    """The address of an HTTP server."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages) as pages:
        thread = threading.Thread(target=pages.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield "{}:{}".format(*pages.server_address)
        pages.shutdown()
        thread.join()


@pytest.fixture
def proxy(redis_server):
    """A proxy in front of Redis, without faults."""
    with package.Proxy(redis_server, protocol="redis", seed=1) as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    """A client of `proxy` that makes one call for each command, and none of its own."""
    with redis.Redis.from_url(proxy.url, retry=None, protocol=2, driver_info=None) as client:
        yield client

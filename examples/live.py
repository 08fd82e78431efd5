#!/usr/bin/env python3
"""Changes a running vaurien from a Python test: a context manager that needs only the standard library.

    vaurien --backend localhost:6379 --protocol redis --http
    python3 examples/live.py

    vaurien = Vaurien()
    with vaurien.handler("delay", sleep=2):
        ...  # Redis is slow
    # Redis is as before

Copy the class into your tests.
"""

import contextlib
import json
import sys
import time
import urllib.error
import urllib.parse
import urllib.request


class Vaurien:
    """A running vaurien, and one of its proxies."""

    def __init__(self, url="http://localhost:8080", proxy="default", token=None):
        self.url = url.rstrip("/")
        self.path = "/v1/proxies/" + urllib.parse.quote(proxy, safe="")
        self.token = token

    @contextlib.contextmanager
    def handler(self, mix, **options):
        """Sets the handler and its options while the block runs. For a mix such as `20:delay,5:error`, give the options of
        each handler, `delay={"sleep": 2}`, or write them in the mix: `error(status=503)`."""
        before = self.settled()
        handlers = {mix: options} if mix.isidentifier() else options
        self.put({**before, "handler": mix, "handlers": handlers})
        try:
            yield
        finally:
            self.put(before)

    @contextlib.contextmanager
    def down(self):
        """Refuses new connections while the block runs, and closes open ones."""
        before = self.settled()
        self.put({**before, "enabled": False})
        try:
            yield
        finally:
            self.put(before)

    def settled(self):
        """The settings of the proxy. If a change with `for` is active, waits until it has expired."""
        while (now := self.get())["status"]["reverts_in"] is not None:
            time.sleep(now["status"]["reverts_in"])
        return now

    def get(self):
        """The settings of the proxy: the keys of the file."""
        return self.call("GET", self.path)

    def put(self, keys):
        """Replaces the settings of the proxy."""
        return self.call("PUT", self.path, keys)

    def faults(self, handler):
        """The number of faults of a handler so far."""
        return self.get()["status"]["faults"].get(handler, 0)

    def call(self, method, path, body=None):
        """Calls the HTTP API."""
        request = urllib.request.Request(self.url + path, method=method)
        if self.token:
            request.add_header("Authorization", "Bearer " + self.token)
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            # The errors say what is wrong, and what would be right.
            wrong = "; ".join(one["description"] for one in json.load(error)["errors"])
            raise ValueError(f"{method} {path}: {wrong}") from None


def main():
    """A demonstration in front of Redis: a normal PING, a late one, and one that is answered with junk."""
    import socket

    vaurien = Vaurien(*sys.argv[1:2])
    host, _, port = vaurien.get()["status"]["addresses"][0].rpartition(":")

    def ping():
        begun = time.monotonic()
        with socket.create_connection((host.strip("[]"), port), timeout=10) as redis:
            redis.sendall(b"PING\r\n")
            reply = redis.recv(4096)
        shown = "+PONG" if reply == b"+PONG\r\n" else f"{len(reply)} bytes of junk"
        return f"{shown} after {time.monotonic() - begun:.1f} s"

    print("as it is:", ping())
    with vaurien.handler("delay", sleep=0.5):
        print("delay:   ", ping())
    with vaurien.handler("error"):
        print("error:   ", ping())
    with vaurien.down():
        try:
            print("down:    ", ping())
        except ConnectionRefusedError:
            print("down:     connection refused")
    print("as it is:", ping())
    print("delayed: ", vaurien.faults("delay"))


if __name__ == "__main__":
    main()

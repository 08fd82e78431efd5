"""The program with Toxiproxy's API, and a backend that sends back what it gets."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import threading
import time

VAURIEN = os.environ["VAURIEN"]
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("VAURIEN")}
PATIENCE = 20


@contextlib.contextmanager
def toxiproxy():
    """Runs the program on a free port. Yields the port."""
    command = [VAURIEN, "--toxiproxy", "localhost:0", "--seed", "7"]
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True) as program:
        try:
            port = None
            for line in program.stderr:
                if found := re.search(r"Toxiproxy's API on http://.*?:(\d+)", line):
                    port = int(found[1])
                if "ready: " in line:
                    break
            assert port, "it has ended"
            yield port
        finally:
            program.send_signal(signal.SIGTERM)
            assert program.wait(PATIENCE) == 0


@contextlib.contextmanager
def echo():
    """Yields the port of a backend that sends back what it gets."""

    def serve(client):
        with client, contextlib.suppress(OSError):
            while data := client.recv(65536):
                client.sendall(data)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def talk(listen, data=b"hello"):
    """Sends data through a proxy: what comes back until it is whole or the connection ends, the error, and the seconds it took."""
    begun, got, error = time.monotonic(), b"", None
    try:
        with socket.create_connection(("127.0.0.1", int(str(listen).rsplit(":", 1)[-1])), timeout=PATIENCE) as client:
            client.sendall(data)
            while len(got) < len(data) and (more := client.recv(65536)):
                got += more
    except OSError as raised:
        error = type(raised)
    return got, error, time.monotonic() - begun


def close(listen):
    """The seconds until a proxy passes on the end of a stream."""
    with socket.create_connection(("127.0.0.1", int(str(listen).rsplit(":", 1)[-1])), timeout=PATIENCE) as client:
        client.sendall(b"hello")
        assert client.recv(5) == b"hello"
        begun = time.monotonic()
        client.shutdown(socket.SHUT_WR)
        assert client.recv(1) == b""
        return time.monotonic() - begun


# Each toxic with its attributes, and what a client sees of it.
TOXICS = {
    "latency": ({"latency": 200, "jitter": 0}, lambda listen: talk(listen)[2] >= 0.2),
    "bandwidth": ({"rate": 100}, lambda listen: talk(listen, b"x" * 40_000)[2] >= 0.3),
    "slow_close": ({"delay": 200}, lambda listen: close(listen) >= 0.2),
    "timeout": ({"timeout": 100}, lambda listen: talk(listen)[0] == b""),
    "reset_peer": ({"timeout": 0}, lambda listen: talk(listen)[1] is ConnectionResetError),
    "slicer": (
        {"average_size": 2, "size_variation": 1, "delay": 10_000},
        lambda listen: talk(listen, b"x" * 40)[0] == b"x" * 40 and talk(listen, b"x" * 40)[2] >= 0.1,
    ),
    "limit_data": ({"bytes": 3}, lambda listen: talk(listen)[0] == b"hel"),
}

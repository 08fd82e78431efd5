"""Nothing is left running, however the Python process ends."""

import contextlib
import os
import pathlib
import select
import signal
import subprocess
import sys

import pytest

START = """
import os, signal, sys, vaurien
proxy = vaurien.Proxy(sys.argv[1], protocol="redis").start()
def say(*words):
    print(*words, flush=True)
say(proxy._program._process.pid)
sys.stdin.readline()
"""


def session(leader):
    """The processes of this session: the program and the shell that it runs."""
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == leader:
                yield int(folder.name)


class World:
    """A Python process that has started a proxy, and the processes of the proxy."""

    def __init__(self, redis_server, script):
        command = [sys.executable, "-c", START + script, redis_server]
        pipe = subprocess.PIPE
        self.python = subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True, text=True)
        self.pids = list(session(int(self.line())))
        self.handles = [os.pidfd_open(pid) for pid in self.pids]
        self.python.stdin.write("\n")
        self.python.stdin.close()

    def line(self):
        return self.python.stdout.readline().strip()

    def assert_gone(self):
        """Waits until the processes have ended: their handles become readable."""
        assert len(self.handles) == 2, self.pids
        for handle in self.handles:
            assert select.select([handle], [], [], 20)[0], f"{self.pids} still run"

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.python.pid, signal.SIGKILL)
        self.python.wait()
        self.python.stdout.close()
        for handle in self.handles:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)


@pytest.fixture
def world(redis_server):
    with contextlib.ExitStack() as stack:

        def start(script):
            world = World(redis_server, script)
            stack.callback(world.close)
            return world

        yield start


@pytest.mark.parametrize("name", ["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"])
def test_a_signal_ends_the_program_too(world, name):
    world = world("say('runs'); signal.pause()")
    assert world.line() == "runs"
    world.python.send_signal(signal.Signals[name])
    assert world.python.wait() != 0
    world.assert_gone()


@pytest.mark.parametrize("end", ["os._exit(0)", "sys.exit(3)", "1 / 0", "pass"])
def test_the_end_of_the_process_ends_the_program_too(world, end):
    world = world(f"sys.stderr = open(os.devnull, 'w')\n{end}")
    world.python.wait()
    world.assert_gone()


def test_an_exception_ends_the_program(world):
    world = world("""
try:
    with proxy:
        1 / 0
except ZeroDivisionError:
    say(proxy._program._process.returncode)
signal.pause()
""")
    assert world.line() == "0"
    world.assert_gone()


def test_ctrl_c_leaves_the_program_to_the_block(world):
    world = world("""
try:
    with proxy:
        try:
            with proxy.fault("hang"):
                say('runs')
                signal.pause()
        finally:
            # What a test cleans up still goes through the proxy.
            say(proxy.handler)
except KeyboardInterrupt:
    say(proxy._program._process.returncode)
signal.pause()
""")
    assert world.line() == "runs"
    # As a terminal does, to the whole group.
    os.killpg(world.python.pid, signal.SIGINT)
    assert (world.line(), world.line()) == ("dummy", "0")
    world.assert_gone()


def test_a_forked_process_does_not_keep_the_program(world):
    world = world("""
if os.fork() == 0:
    os.close(1)
    signal.pause()
proxy.close()
say(proxy._program._process.returncode)
os.killpg(0, signal.SIGKILL)
""")
    assert world.line() == "0"
    world.assert_gone()


def test_a_proxy_does_not_keep_another_one(world):
    world = world("""
other = vaurien.Proxy(sys.argv[1]).start()
proxy.close()
say(other.handler)
signal.pause()
""")
    assert world.line() == "dummy"
    world.assert_gone()

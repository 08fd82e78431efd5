"""The program as a child process, which ends with this one whatever happens."""

from __future__ import annotations

import contextlib
import os
import re
import selectors
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from typing import IO, NamedTuple, Union

from .errors import ExpectationError, StartError, VaurienError

# What an option can be: `True` stands for `true`, a list for the option several times.
Option = Union[bool, int, float, str, Sequence[str]]

# How long the program may take to stop, in seconds. It takes milliseconds, and with open connections a tenth of a second.
STOP_TIMEOUT = 10

# The program runs this command, which tells the addresses on standard output and then waits for a line or for the end of
# standard input. That comes when this process ends, also by SIGKILL; and when the command ends, so does the program.
# Reports show it: it has a file of its own, and is told which test or script it stands for.
COMMAND = ["sh", os.path.join(os.path.dirname(__file__), "python-block.sh")]


class Ready(NamedTuple):
    """What the program says when everything listens."""

    proxy: str
    http: str
    seed: int


def find() -> str:
    """The path of the program: the one that the variable VAURIEN names, that of this package, or one on the path.

    Raises `StartError` if there is none.
    """
    if named := os.environ.get("VAURIEN"):
        return named
    folders = [sysconfig.get_path("scripts"), os.path.dirname(sys.executable)]
    # `pip install --user`, and `pip install --target`.
    folders.append(sysconfig.get_path("scripts", f"{os.name}_user"))
    folders.append(os.path.join(os.path.dirname(os.path.dirname(__file__)), "bin"))
    for path in [os.pathsep.join(folders), None]:
        if found := shutil.which("vaurien", path=path):
            return found
    raise StartError(f"there is no program `vaurien` in {', '.join(folders)} or on the path")


def arguments(options: dict[str, Option | None]) -> list[str]:
    """`{"keep_alive": True}` as the command line has it: `--keep-alive=true`."""
    words = []
    for name, value in options.items():
        values = [] if value is None else [value] if isinstance(value, (str, int, float)) else value
        for one in values:
            text = str(one).lower() if isinstance(one, bool) else str(one)
            words.append(f"--{name.replace('_', '-')}={text}")
    return words


def stands_for() -> str:
    """The test that runs, or the script."""
    name = os.environ.get("PYTEST_CURRENT_TEST", "").rpartition(" (")[0] or sys.argv[0]
    # Braces are placeholders of the program.
    return re.sub("[{}]", "_", name) or "python"


def in_python(text: str) -> str:
    """What the program says to somebody who runs a command, for somebody who writes a test."""
    text = text.replace("the command finds the proxy's address in VAURIEN_PROXY", "a client has to connect to `proxy.address`")
    return text.replace("add --allow-no-calls", "set allow_no_calls=True")


class Program:
    """The program with one proxy. `spawn` does not block, `wait_until_ready` and `stop` do."""

    def __init__(self, options: dict[str, Option | None], program: str | None) -> None:
        self._options = options
        self._program = program
        self._process: subprocess.Popen[bytes] | None = None
        self._stderr: IO[bytes] | None = None
        self._log = ""
        self._is_ready = False

    def spawn(self) -> None:
        if self._process:
            raise VaurienError("this proxy was started already")
        path = self._program or find()
        http: dict[str, Option | None] = {"http": True, "http_host": "127.0.0.1", "http_port": 0}
        words = [path, *arguments({**http, **self._options}), "--", *COMMAND, stands_for()]
        # The options are those given here, and none of a vaurien around this process.
        environment = {name: value for name, value in os.environ.items() if not name.startswith("VAURIEN")}
        self._stderr = tempfile.TemporaryFile()
        try:
            # In a session of its own it does not get the Ctrl-C of this one, which would end it before the test has cleaned up.
            self._process = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env=environment,
                start_new_session=True,
            )
        except OSError as error:
            self._stderr.close()
            raise StartError(f"cannot execute {path}: {error.strerror}") from error

    def wait_until_ready(self) -> Ready:
        """Raises `StartError` if the program ends before."""
        process = self._running()
        assert process.stdout
        words = process.stdout.readline().decode().split()
        if len(words) != 3:
            self.stop()
            raise StartError("vaurien did not start:", self.log())
        self._is_ready = True
        return Ready(words[0], words[1], int(words[2]))

    def stop(self) -> None:
        """Ends the program, and waits until it has ended."""
        process = self._process
        if process is None or process.stdin is None or process.stdin.closed:
            return
        if not self._is_ready:
            # It may not have come to its command, and wait for the backend.
            process.kill()
        # The end of the pipe is not enough: a process that was forked from this one may hold it open.
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"\n")
            process.stdin.flush()
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        assert process.stdout
        try:
            with selectors.DefaultSelector() as selector:
                # It ends when the program has.
                selector.register(process.stdout, selectors.EVENT_READ)
                if not selector.select(STOP_TIMEOUT):
                    process.kill()
        except BaseException:
            process.kill()
            raise
        finally:
            process.stdout.close()
            process.wait()
            self._log = self.log()
            if self._stderr:
                self._stderr.close()

    def check(self) -> None:
        """Raises an error if the program, which has ended, has failed, or if what was expected of it did not take place."""
        code = self._process.returncode if self._process else 0
        if code == 3:
            missed = re.findall(r"expected \S+: NOT met.*", self.log())
            raise ExpectationError(in_python("\n".join(missed)) or self.obituary())
        if code:
            raise VaurienError(self.obituary())

    def idle(self) -> list[str]:
        """What the program, which has ended, says of chaos that did nothing."""
        idle = r"^(?:warning: |\S+ +WARN )(?:default: )?(.*(?:(?:matched|took) no call|injected no fault|did nothing).*)"
        return re.findall(idle, self.log(), re.MULTILINE)

    def has_ended(self) -> bool:
        return self._process is not None and self._process.poll() is not None

    def obituary(self) -> str:
        """How the program has ended."""
        code = self._process.returncode if self._process else None
        last = "\n".join(self.log().splitlines()[-20:])
        return f"vaurien has ended with exit code {code}; its standard error ends with:\n{last}"

    def log(self) -> str:
        """What the program wrote to standard error."""
        if self._stderr is None or self._stderr.closed:
            return self._log
        # Its place is shared with the program, and stays where it is.
        descriptor = self._stderr.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise VaurienError("this proxy was not started: use it in a `with` block")
        return self._process

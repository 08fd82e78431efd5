"""What `Proxy` and `AsyncProxy` have in common: all but the input and output."""

from __future__ import annotations

import contextlib
import os
import re
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import Any, TypeVar

from ._api import Api
from ._http import Endpoint
from ._program import Option, Program, Ready
from .errors import VaurienError, VaurienWarning
from .results import Counts

Self = TypeVar("Self", bound="Common")

# What clients call an address of these protocols.
SCHEMES = {"redis": "redis", "http": "http", "memcache": "memcached"}

# The code of these folders and files stands between a block and this package.
INNER = (os.path.dirname(__file__) + os.sep, contextlib.__file__)


def caller() -> tuple[FrameType, int]:
    """The frame that uses this package, and how far it is from the one that asks."""
    frame, distance = sys._getframe(1), 1
    while frame.f_code.co_filename.startswith(INNER) and frame.f_back:
        frame, distance = frame.f_back, distance + 1
    return frame, distance


def place() -> str:
    """Where this package is used, as a name: `test_cart-12`."""
    frame, _ = caller()
    code = frame.f_code
    name = code.co_name if code.co_name != "<module>" else os.path.splitext(os.path.basename(code.co_filename))[0]
    return re.sub("[^A-Za-z0-9_-]+", "_", name).strip("_")[:50] + f"-{frame.f_lineno}"


def about(idle: str) -> str:
    """What did nothing, without details: ``toxic `slow` did nothing``."""
    return re.sub("(no call|no fault|nothing)( in|:) .*", r"\1", idle)


class Common:
    """Where a proxy is, and the program that it belongs to."""

    _program: Program | None
    _endpoint: Endpoint | None = None
    _address: str | None = None
    _seed: int | None = None
    # What was counted when the program stopped.
    _last: Counts | None = None

    def __init__(
        self,
        backend: str,
        *,
        protocol: str = "tcp",
        handler: str = "dummy",
        rules: Sequence[str] = (),
        toxics: Sequence[str] = (),
        seed: int | None = None,
        expect: Sequence[str] = (),
        allow_no_calls: bool = False,
        listen: str = "127.0.0.1:0",
        program: str | None = None,
        **options: Option,
    ) -> None:
        """Nothing is started yet.

        backend: where the server is, `HOST:PORT`.
        protocol: how calls are found: `tcp`, `redis`, `memcache`, `http` or `grpc`.
        handler: what happens to calls that no rule matches, a handler or a mix: `"20:delay(sleep=250ms),5:error"`.
        rules: which calls get another mix: `"GET user:* times=3 => error(kind=loading)"`. The first that matches decides.
        toxics: what happens to the bytes: `"latency(latency=100ms)"`.
        seed: the same seed and the same calls give the same faults. By default a random one, see `seed`.
        expect: what has to be true at the end, or `close` raises `ExpectationError`: `"error>=1"`.
        allow_no_calls: accept that no call was made although there are faults in `handler` or `rules`. By default `close`
            raises `ExpectationError` then.
        listen: where the proxy listens, `HOST:PORT`; port 0 takes a free one.
        program: the path of the program, instead of the one in this package.
        options: other options of the command line, with `_` for `-`: `keep_alive=True`, `connect_timeout="2s"`.
        """
        self._protocol = protocol
        self._api = Api("default")
        self._warned: set[str] = set()
        self._token = str(options["http_token"]) if "http_token" in options else None
        self._program = Program(
            {
                "proxy": listen,
                "backend": backend,
                "protocol": protocol,
                "handler": handler,
                "rule": rules,
                "toxic": toxics,
                "seed": seed,
                "expect": expect,
                "allow_no_calls": allow_no_calls,
                **options,
            },
            program,
        )

    @classmethod
    def _of_running(cls: type[Self], proxy: str, endpoint: Endpoint, settings: dict[str, Any]) -> Self:
        """The proxy of a program that runs already."""
        self = cls.__new__(cls)
        self._program = None
        self._warned = set()
        self._api = Api(proxy)
        self._endpoint = endpoint
        self._protocol = settings["protocol"]
        # A disabled proxy listens nowhere.
        self._address = (settings["status"]["addresses"] or [settings["proxy"]])[0]
        return self

    def _is_ready(self, ready: Ready) -> None:
        self._address = ready.proxy
        self._endpoint = Endpoint.parse(ready.http, self._token)
        self._seed = ready.seed

    def _where(self) -> Endpoint:
        if self._endpoint is None:
            raise VaurienError("this proxy was not started: use it in a `with` block")
        return self._endpoint

    def _stop(self) -> None:
        """Stops the program, and keeps what it has counted."""
        if self._program is None:
            return
        if self._endpoint and not self._program.has_ended():
            with contextlib.suppress(VaurienError):
                self._last = self._endpoint.run(self._api.counts())
        self._program.stop()

    def _check(self) -> None:
        """Tells what the program, which has ended, has to complain about."""
        if self._program:
            self._program.check()
            for idle in self._program.idle():
                # The toxic of a block was told at the end of the block.
                if about(idle) not in self._warned:
                    self._warn(idle)

    def _warn(self, idle: str | None) -> None:
        """Warns of chaos that did nothing."""
        if idle:
            self._warned.add(about(idle))
            warnings.warn(idle, VaurienWarning, stacklevel=caller()[1])

    def _explained(self, error: VaurienError) -> VaurienError:
        """The error of a request, or why the program has ended."""
        if self._program and self._program.has_ended():
            return VaurienError(self._program.obituary())
        return error

    @property
    def address(self) -> str:
        """Where the proxy listens, for the client: `127.0.0.1:40123`."""
        self._where()
        assert self._address
        return self._address

    @property
    def host(self) -> str:
        """The host of `address`, an IPv6 address without its brackets."""
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        """The port of `address`."""
        return int(self.address.rpartition(":")[2])

    @property
    def url(self) -> str:
        """`address` as a URL: `redis://…`, `http://…`, `memcached://…` or `tcp://…`, by the protocol."""
        return f"{SCHEMES.get(self._protocol, 'tcp')}://{self.address}"

    @property
    def protocol(self) -> str:
        """How calls are found."""
        return self._protocol

    @property
    def api_url(self) -> str:
        """Where the HTTP API of the program listens: `http://127.0.0.1:40124`."""
        return f"http://{self._where().authority}"

    @property
    def seed(self) -> int | None:
        """The seed; None for a proxy of a program that ran already, which does not tell."""
        return self._seed

    def log(self) -> str:
        """What the program wrote to standard error so far. Empty for a program that ran already."""
        return self._program.log() if self._program else ""

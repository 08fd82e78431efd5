"""A proxy, for programs that block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from types import TracebackType
from typing import TypeVar

from ._api import Api, Block, Duration, RuleLike, ToxicLike
from ._common import Common, place
from ._http import Endpoint, Steps
from .errors import VaurienError
from .results import Calls, Connection, Counts, Event, Rule, Toxic

T = TypeVar("T")


class Proxy(Common):
    """A proxy in front of a backend, in a program of its own.

        with vaurien.Proxy("localhost:6379", protocol="redis") as proxy:
            client = redis.Redis.from_url(proxy.url)

    The program starts with the block, and is gone at its end, or with this process however that ends. Methods raise `ApiError` if
    the program refuses what was asked, and `VaurienError` if it does not answer within 10 seconds.
    """

    @classmethod
    def connect(cls, url: str | None = None, *, proxy: str = "default", token: str | None = None) -> Proxy:
        """The proxy of this name in a program that runs already, whose HTTP API is at `url`; `close` leaves it running.

        By default it is the vaurien around this process: VAURIEN_HTTP and VAURIEN_HTTP_TOKEN. `token` is that of the program's
        `--http-token`. Raises `ApiError` if there is no such proxy.
        """
        endpoint = Endpoint.of(url, token)
        return cls._of_running(proxy, endpoint, endpoint.run(Api(proxy).settings()))

    def start(self) -> Proxy:
        """Starts the program, and returns when it listens. A `with` block does this.

        Raises `StartError`, with what the program wrote to standard error, if it does not start.
        """
        if self._program:
            self._program.spawn()
            try:
                self._is_ready(self._program.wait_until_ready())
            except BaseException:
                self._program.stop()
                raise
        return self

    def close(self) -> None:
        """Stops the program. The end of a `with` block does this.

        Raises `ExpectationError` if an expectation was not met or faults were asked for and no call was made, and
        `VaurienError` if the program had ended before. Warns with `VaurienWarning` of chaos that did nothing. A block that ends
        with an exception keeps that.
        """
        self._stop()
        self._check()

    def __enter__(self) -> Proxy:
        return self if self._endpoint else self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error:
            self._stop()
        else:
            self.close()

    @property
    def handler(self) -> str:
        """What happens to calls that no rule matches: a handler or a mix, `"20:delay,5:error"`. It can be assigned."""
        return self._run(self._api.handler())

    @handler.setter
    def handler(self, handler: str) -> None:
        self._run(self._api.change(handler=handler))

    @property
    def rules(self) -> Rules:
        """The rules."""
        return Rules(self)

    @property
    def toxics(self) -> Toxics:
        """The toxics."""
        return Toxics(self)

    def fault(self, handler: str) -> AbstractContextManager[None]:
        """Sets the handler for a block, and then what it was before: `with proxy.fault("delay(sleep=1s)"):`.

        Rules come first, as always: calls that one of them matches are not hit.
        """
        return self._block(self._api.fault_for_block(handler))

    def rule(self, rule: RuleLike, *, name: str | None = None, before: str | None = "first") -> AbstractContextManager[Rule]:
        """Adds a rule for a block, by default as the first one: `with proxy.rule("SET => error(kind=readonly)") as rule:`.

        By default its name tells where the block is: `test_cart-12`, of the function and the line.
        """
        return self._block(self._api.rule_for_block(rule, name, before, place()))

    def toxic(self, toxic: ToxicLike, *, name: str | None = None) -> AbstractContextManager[Toxic]:
        """Adds a toxic for a block: `with proxy.toxic("latency(latency=100ms)") as toxic:`."""
        return self._block(self._api.toxic_for_block(toxic, name))

    def down(self) -> AbstractContextManager[None]:
        """For a block, refuses new connections; closes those that are open."""
        return self._block(self._api.down_for_block())

    def calls(self) -> list[Calls]:
        """The calls so far by shape, the most frequent first: at most 200 shapes. Empty with `tcp`."""
        return self._run(self._api.calls())

    def events(self, since: int = 0) -> list[Event]:
        """The events with an id above `since`, of the last 16,384 that the program had."""
        return self._run(self._api.events(since))

    def connections(self) -> list[Connection]:
        """The open connections."""
        return self._run(self._api.connections())

    def counts(self) -> Counts:
        """Calls, faults, connections and bytes since the program started; once it is stopped, those of its end."""
        return self._last or self._run(self._api.counts())

    def assert_faults(self, name: str = "faults", *, at_least: int | None = None, at_most: int | None = None) -> None:
        """Raises `ExpectationError` unless there were so many faults since the program started; by default at least one.

        name: a handler (`error`), a rule (`pay`), a handler of a rule (`pay.error`), a toxic (`latency_downstream`), or `faults`,
            all of them. One that nothing has or had is an error.
        """
        self._api.assert_faults(self.counts(), name, at_least, at_most)

    def label(self, label: str | None) -> None:
        """Gives this label, such as the name of a test, to all calls that begin from now on, for events and reports.

        It has 1 to 255 bytes. It is the same for all proxies of one program. None ends it.
        """
        self._run(self._api.label(label))

    def _run(self, steps: Steps[T]) -> T:
        try:
            return self._where().run(steps)
        except VaurienError as error:
            raise self._explained(error) from error.__cause__

    @contextmanager
    def _block(self, begin: Block[T]) -> Iterator[T]:
        value, end = self._run(begin)
        try:
            yield value
        except BaseException:
            self._run(end)
            raise
        self._warn(self._run(end))


class Rules:
    """The rules of a proxy. The first one that matches a call decides."""

    def __init__(self, proxy: Proxy) -> None:
        self._run = proxy._run
        self._api = proxy._api

    def list(self) -> Sequence[Rule]:
        """All of them, in their order."""
        return self._run(self._api.rules())

    def get(self, name: str) -> Rule:
        """The rule of this name."""
        return self._run(self._api.rule(name))

    def add(
        self,
        rule: RuleLike,
        *,
        name: str | None = None,
        before: str | None = None,
        duration: Duration | None = None,
    ) -> Rule:
        """Adds a rule, and returns it.

        rule: `"SET user:* times=3 => error(kind=readonly)"`, or the keys of a table,
            `{"match": {"command": "SET"}, "times": 3, "handler": "error"}`.
        name: what counts and events call it. By default `rule-N`.
        before: the name of the rule that it comes before, or `first`. By default it is the last one.
        duration: after this time it goes by itself: seconds, or a text, `"250ms"`.
        """
        return self._run(self._api.add_rule(rule, name, before, duration))

    def remove(self, name: str) -> None:
        """Removes the rule of this name."""
        self._run(self._api.remove_rule(name))

    def clear(self) -> None:
        """Removes all of them."""
        self._run(self._api.clear_rules())


class Toxics:
    """The toxics of a proxy. Those of a direction act one after the other."""

    def __init__(self, proxy: Proxy) -> None:
        self._run = proxy._run
        self._api = proxy._api

    def list(self) -> Sequence[Toxic]:
        """All of them, in their order."""
        return self._run(self._api.toxics())

    def get(self, name: str) -> Toxic:
        """The toxic of this name."""
        return self._run(self._api.toxic(name))

    def add(
        self,
        toxic: ToxicLike,
        *,
        name: str | None = None,
        duration: Duration | None = None,
    ) -> Toxic:
        """Adds a toxic as the last one, and returns it.

        toxic: `"latency(latency=100ms, toxicity=0.5)"`, of what the client sends `"upstream:bandwidth(rate=50KB/s)"`, or its
            keys, `{"type": "latency", "stream": "upstream", "attributes": {"latency": "100ms"}}`.
        name: what counts and events call it. By default `TYPE_STREAM`.
        duration: after this time it goes by itself: seconds, or a text, `"250ms"`.
        """
        return self._run(self._api.add_toxic(toxic, name, duration))

    def remove(self, name: str) -> None:
        """Removes the toxic of this name; what it holds passes at once."""
        self._run(self._api.remove_toxic(name))

    def clear(self) -> None:
        """Removes all of them."""
        self._run(self._api.clear_toxics())

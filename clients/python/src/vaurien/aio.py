"""A proxy, for asyncio: as in `vaurien.proxy`, with the same names, and all that asks the program is awaited."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from types import TracebackType
from typing import TypeVar

from ._api import Api, Block, Duration, RuleLike, ToxicLike
from ._common import Common, place
from ._http import Endpoint, Steps
from .errors import VaurienError
from .results import Calls, Connection, Counts, Event, Rule, Toxic

T = TypeVar("T")


class AsyncProxy(Common):
    """A proxy in front of a backend, in a program of its own.

        async with vaurien.AsyncProxy("localhost:6379", protocol="redis") as proxy:
            client = redis.asyncio.Redis.from_url(proxy.url)

    It does what `Proxy` does. A property cannot be awaited when it is assigned, so the handler has `get_handler` and
    `set_handler`.
    """

    @classmethod
    async def connect(cls, url: str | None = None, *, proxy: str = "default", token: str | None = None) -> AsyncProxy:
        """The proxy of this name in a program that runs already, see `Proxy.connect`."""
        endpoint = Endpoint.of(url, token)
        return cls._of_running(proxy, endpoint, await endpoint.run_async(Api(proxy).settings()))

    async def start(self) -> AsyncProxy:
        """Starts the program, see `Proxy.start`. An `async with` block does this."""
        if self._program:
            self._program.spawn()
            try:
                self._is_ready(await asyncio.to_thread(self._program.wait_until_ready))
            except BaseException:
                self._program.stop()
                raise
        return self

    async def close(self) -> None:
        """Stops the program, see `Proxy.close`. The end of an `async with` block does this."""
        await self._stop_async()
        self._check()

    async def _stop_async(self) -> None:
        # Also if this task is cancelled meanwhile.
        await asyncio.shield(asyncio.to_thread(self._stop))

    async def __aenter__(self) -> AsyncProxy:
        return self if self._endpoint else await self.start()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if error:
            await self._stop_async()
        else:
            await self.close()

    async def get_handler(self) -> str:
        """What happens to calls that no rule matches, see `Proxy.handler`."""
        return await self._run(self._api.handler())

    async def set_handler(self, handler: str) -> None:
        """Sets what happens to calls that no rule matches, see `Proxy.handler`."""
        await self._run(self._api.change(handler=handler))

    @property
    def rules(self) -> AsyncRules:
        """The rules."""
        return AsyncRules(self)

    @property
    def toxics(self) -> AsyncToxics:
        """The toxics."""
        return AsyncToxics(self)

    def fault(self, handler: str) -> AbstractAsyncContextManager[None]:
        """Sets the handler for an `async with` block, see `Proxy.fault`."""
        return self._block(self._api.fault_for_block(handler))

    def rule(self, rule: RuleLike, *, name: str | None = None, before: str | None = "first") -> AbstractAsyncContextManager[Rule]:
        """Adds a rule for an `async with` block, see `Proxy.rule`."""
        return self._block(self._api.rule_for_block(rule, name, before, place()))

    def toxic(self, toxic: ToxicLike, *, name: str | None = None) -> AbstractAsyncContextManager[Toxic]:
        """Adds a toxic for an `async with` block, see `Proxy.toxic`."""
        return self._block(self._api.toxic_for_block(toxic, name))

    def down(self) -> AbstractAsyncContextManager[None]:
        """For an `async with` block, refuses new connections; closes those that are open."""
        return self._block(self._api.down_for_block())

    async def calls(self) -> list[Calls]:
        """The calls so far by shape, see `Proxy.calls`."""
        return await self._run(self._api.calls())

    async def events(self, since: int = 0) -> list[Event]:
        """The events with an id above `since`, see `Proxy.events`."""
        return await self._run(self._api.events(since))

    async def connections(self) -> list[Connection]:
        """The open connections."""
        return await self._run(self._api.connections())

    async def counts(self) -> Counts:
        """Calls, faults, connections and bytes since the program started, see `Proxy.counts`."""
        if self._last:
            return self._last
        return await self._run(self._api.counts())

    async def assert_faults(self, name: str = "faults", *, at_least: int | None = None, at_most: int | None = None) -> None:
        """Raises `ExpectationError` unless there were so many faults, see `Proxy.assert_faults`."""
        self._api.assert_faults(await self.counts(), name, at_least, at_most)

    async def label(self, label: str | None) -> None:
        """Gives this label to all calls that begin from now on, see `Proxy.label`."""
        await self._run(self._api.label(label))

    async def _run(self, steps: Steps[T]) -> T:
        try:
            return await self._where().run_async(steps)
        except VaurienError as error:
            raise self._explained(error) from error.__cause__

    @asynccontextmanager
    async def _block(self, begin: Block[T]) -> AsyncIterator[T]:
        value, end = await self._run(begin)
        try:
            yield value
        except BaseException:
            await self._run(end)
            raise
        self._warn(await self._run(end))


class AsyncRules:
    """The rules of a proxy, see `Rules`."""

    def __init__(self, proxy: AsyncProxy) -> None:
        self._run = proxy._run
        self._api = proxy._api

    async def list(self) -> Sequence[Rule]:
        """All of them, in their order."""
        return await self._run(self._api.rules())

    async def get(self, name: str) -> Rule:
        """The rule of this name."""
        return await self._run(self._api.rule(name))

    async def add(
        self,
        rule: RuleLike,
        *,
        name: str | None = None,
        before: str | None = None,
        duration: Duration | None = None,
    ) -> Rule:
        """Adds a rule, and returns it, see `Rules.add`."""
        return await self._run(self._api.add_rule(rule, name, before, duration))

    async def remove(self, name: str) -> None:
        """Removes the rule of this name."""
        await self._run(self._api.remove_rule(name))

    async def clear(self) -> None:
        """Removes all of them."""
        await self._run(self._api.clear_rules())


class AsyncToxics:
    """The toxics of a proxy, see `Toxics`."""

    def __init__(self, proxy: AsyncProxy) -> None:
        self._run = proxy._run
        self._api = proxy._api

    async def list(self) -> Sequence[Toxic]:
        """All of them, in their order."""
        return await self._run(self._api.toxics())

    async def get(self, name: str) -> Toxic:
        """The toxic of this name."""
        return await self._run(self._api.toxic(name))

    async def add(
        self,
        toxic: ToxicLike,
        *,
        name: str | None = None,
        duration: Duration | None = None,
    ) -> Toxic:
        """Adds a toxic as the last one, and returns it, see `Toxics.add`."""
        return await self._run(self._api.add_toxic(toxic, name, duration))

    async def remove(self, name: str) -> None:
        """Removes the toxic of this name; what it holds passes at once."""
        await self._run(self._api.remove_toxic(name))

    async def clear(self) -> None:
        """Removes all of them."""
        await self._run(self._api.clear_toxics())

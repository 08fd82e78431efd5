"""What mypy has to accept of the package as it is installed, and to refuse: an unneeded `type: ignore` is an error."""

from __future__ import annotations

import vaurien as package
from vaurien.pytest_plugin import AsyncFactory, Factory


def test_it(vaurien: Factory, chaos_seed: int) -> None:
    proxy: package.Proxy = vaurien("localhost:6379", protocol="redis", rules=["GET => miss"], keep_alive=True)
    with proxy.rule("SET => error") as rule, proxy.toxic("latency(latency=1ms)") as toxic, proxy.down():
        names: list[str] = [rule.name, toxic.name]
    counts: package.Counts = proxy.counts()
    names.append(counts.faults)  # type: ignore[arg-type]
    proxy.handler = 20  # type: ignore[assignment]
    package.Proxy(6379)  # type: ignore[arg-type]


async def test_async(async_vaurien: AsyncFactory) -> None:
    proxy: package.AsyncProxy = await async_vaurien("localhost:6379", protocol="redis", toxics=["latency(latency=1ms)"])
    await proxy.rules.add(20)  # type: ignore[arg-type]


async def use() -> list[package.Event]:
    _ = package.connect().seed, (await package.AsyncProxy.connect()).seed
    async with package.AsyncProxy("localhost:6379") as proxy, proxy.fault("hang"):
        _ = proxy.counts().calls  # type: ignore[attr-defined]
        return await proxy.events()

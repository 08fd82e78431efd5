"""`AsyncProxy`: what differs is input and output, so each of its calls is made once."""

import asyncio
import time

import pytest
import redis
from redis.asyncio import Redis

import vaurien


def run(redis_server, test, **options):
    async def main():
        async with vaurien.AsyncProxy(redis_server, protocol="redis", **options) as proxy:
            async with Redis.from_url(proxy.url, retry=None, protocol=2, driver_info=None) as client:
                return await test(proxy, client)

    return asyncio.run(main())


def test_blocks(redis_server):
    async def test(proxy, client):
        await proxy.set_handler("miss")
        assert await proxy.get_handler() == "miss" and await client.get("a") is None
        async with proxy.fault("error(kind=readonly)"):
            with pytest.raises(redis.ReadOnlyError):
                await client.set("a", 1)
        assert await proxy.get_handler() == "miss"
        async with proxy.rule("SET => error(kind=oom)") as rule, proxy.toxic("latency(latency=1ms)") as toxic:
            with pytest.raises(redis.OutOfMemoryError):
                await client.set("a", 1)
            assert rule.name.startswith("test-") and toxic.name == "latency_downstream"
        async with proxy.down():
            with pytest.raises(redis.ConnectionError):
                await client.ping()
        assert await client.ping()
        with pytest.warns(vaurien.VaurienWarning, match=r"^rule `idle` matched no call: GET name=idle => miss$") as warned:
            async with proxy.rule("GET => miss", name="idle"):
                pass
        assert warned[0].filename == __file__
        assert await proxy.rules.list() == await proxy.toxics.list() == []

    run(redis_server, test)


def test_rules_and_toxics(redis_server):
    async def test(proxy, client):
        await proxy.rules.add("SET => error", name="writes")
        await proxy.rules.add("GET => miss", name="reads", before="writes", duration="1h")
        assert [rule.name for rule in await proxy.rules.list()] == ["reads", "writes"]
        assert (await proxy.rules.get("reads")).calls == 0
        await proxy.rules.remove("reads")
        await proxy.rules.clear()
        slow = await proxy.toxics.add("latency(latency=1ms)", name="slow", duration="1h")
        assert [toxic.name for toxic in await proxy.toxics.list()] == ["slow"] and slow.reverts_in > 3590
        assert (await proxy.toxics.get("slow")).text == "slow=latency(latency=1ms)"
        await proxy.toxics.remove("slow")
        await proxy.toxics.clear()

    run(redis_server, test)


def test_what_happened(redis_server):
    async def test(proxy, client):
        with pytest.raises(redis.ReadOnlyError):
            await client.set("a", 1)
        assert [calls.shape for calls in await proxy.calls()] == ["SET a"]
        assert [event.key for event in await proxy.events()] == ["a"]
        assert [connection.calls for connection in await proxy.connections()] == [1]
        assert (await proxy.counts()).faults_of("error") == 1
        await proxy.assert_faults("error", at_least=1, at_most=1)
        with pytest.raises(vaurien.ExpectationError):
            await proxy.assert_faults("error", at_least=2)
        other = await vaurien.AsyncProxy.connect(proxy.api_url)
        assert await other.get_handler() == "error(kind=readonly)"
        await other.close()
        return proxy

    stopped = run(redis_server, test, handler="error(kind=readonly)")
    asyncio.run(stopped.assert_faults("error", at_least=1, at_most=1))


def test_a_running_program_is_found_in_the_environment(proxy, monkeypatch):
    monkeypatch.setenv("VAURIEN_HTTP", proxy.api_url.split("//")[1])
    assert asyncio.run(vaurien.AsyncProxy.connect()).address == proxy.address


def test_labels(redis_server):
    async def test(proxy, client):
        await proxy.label("test_pay")
        with pytest.raises(redis.ReadOnlyError):
            await client.set("a", 1)
        assert [event.label for event in await proxy.events()] == ["test_pay"]

    run(redis_server, test, handler="error(kind=readonly)")


def test_errors(redis_server):
    async def test(proxy, client):
        with pytest.raises(vaurien.ApiError, match="unknown handler `eror`"):
            await proxy.set_handler("eror")
        proxy._program.stop()
        with pytest.raises(vaurien.VaurienError, match="vaurien has ended with exit code 0"):
            await proxy.get_handler()

    run(redis_server, test)
    with pytest.raises(vaurien.StartError, match="unknown handler `eror`"):
        run(redis_server, test, handler="eror")
    with pytest.raises(vaurien.ExpectationError, match="no connections"):

        async def nothing(proxy, client):
            pass

        run(redis_server, nothing, handler="error")


def test_the_loop_runs_while_the_program_starts(redis_server):
    """A start that is cancelled leaves no program."""

    async def main():
        # Nothing listens there, so it waits.
        proxy = vaurien.AsyncProxy("127.0.0.1:1", wait_backend="1h")
        begun = time.monotonic()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(proxy.start(), 0.2)
        assert proxy._program.has_ended() and time.monotonic() - begun < 5

    asyncio.run(main())

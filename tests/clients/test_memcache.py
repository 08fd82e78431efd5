"""pymemcache sees the errors of memcached as such."""

import contextlib

import pytest
from pymemcache import exceptions
from pymemcache.client.base import Client
from pymemcache.client.retrying import RetryingClient
from world import TIMEOUT, at_once, vaurien

KINDS = {
    "server_error": (exceptions.MemcacheServerError, b"injected by vaurien"),
    "client_error": (exceptions.MemcacheClientError, b"injected by vaurien"),
    # The line has no text. What the exception tells is the command.
    "error": (exceptions.MemcacheUnknownCommandError, None),
    "oom": (exceptions.MemcacheServerError, b"out of memory storing object"),
    "busy": (exceptions.MemcacheServerError, b"busy"),
}

CALLS = {
    "get": lambda client: client.get("a"),
    "gets": lambda client: client.gets("a"),
    "get_many": lambda client: client.get_many(["a", "b", "c"]),
    "set": lambda client: client.set("a", b"new", noreply=False),
    "set_many": lambda client: client.set_many({"a": b"new", "b": b"new"}, noreply=False),
    "cas": lambda client: client.cas("a", b"new", b"1", noreply=False),
    "incr": lambda client: client.incr("a", 1),
    "touch": lambda client: client.touch("a", 10, noreply=False),
    "delete": lambda client: client.delete("a", noreply=False),
    "version": lambda client: client.version(),
}


@contextlib.contextmanager
def connect(address):
    with contextlib.closing(Client(address, timeout=TIMEOUT, connect_timeout=TIMEOUT)) as client:
        assert client.version()
        yield client


@pytest.fixture
def direct(memcached):
    """An empty memcached without vaurien in front of it."""
    with connect(memcached) as client:
        client.flush_all(noreply=False)
        yield client


@pytest.fixture
def proxy(memcached, direct):
    with vaurien(memcached, "memcache") as proxy:
        yield proxy


@pytest.fixture
def client(proxy):
    with connect((proxy.host, proxy.port)) as client:
        yield client


@contextlib.contextmanager
def kept(proxy):
    before = proxy.connections()
    yield
    assert proxy.connections() == before


@contextlib.contextmanager
def dropped(client, proxy):
    """Fails if the client does not connect anew. It is a habit of pymemcache to drop the connection at every exception."""
    before = proxy.connections()
    yield
    assert client.get("nothing") is None
    assert proxy.connections() == before + 1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_the_exception_that_it_is_of_memcached(client, direct, proxy, kind, call):
    wanted, text = KINDS[kind]
    direct.set("a", b"1", noreply=False)
    with dropped(client, proxy):
        with proxy.handler("error", kind=kind), at_once(), pytest.raises(wanted) as caught:
            CALLS[call](client)
    assert type(caught.value) is wanted
    if text:
        assert caught.value.args == (text,)
    # Nothing was done.
    assert direct.get("a") == b"1"


@pytest.mark.parametrize("call", ["get", "gets", "get_many", "set", "set_many", "cas"])
def test_junk_is_noticed_at_once(client, proxy, call):
    for _ in range(10):
        with dropped(client, proxy):
            with proxy.handler("error"), at_once(), pytest.raises(exceptions.MemcacheUnknownError):
                CALLS[call](client)


def test_junk_is_one_line_to_a_client_that_reads_one(client, proxy):
    # For these calls pymemcache reads a line, whatever it is, and keeps the connection.
    with kept(proxy):
        for _ in range(10):
            with proxy.handler("error"), at_once():
                assert CALLS["touch"](client) is False
                assert CALLS["delete"](client) is False
                with pytest.raises(ValueError):
                    CALLS["incr"](client)
                with pytest.raises(exceptions.MemcacheUnknownError):
                    CALLS["version"](client)
            assert client.set("a", b"1", noreply=False) and client.get("a") == b"1"
    assert proxy.faults("error") == 40


def test_a_miss_is_none_or_false(client, direct, proxy):
    direct.set("a", b"1", noreply=False)
    with kept(proxy), proxy.handler("miss"):
        assert client.get("a") is None
        assert client.gets("a") == (None, None)
        assert client.get_many(["a", "b"]) == {}
        assert client.incr("a", 1) is None
        assert client.touch("a", noreply=False) is False
        assert client.delete("a", noreply=False) is False
        assert proxy.faults("miss") == 6
        # What cannot miss is done.
        assert client.set("a", b"2", noreply=False) is True
        assert proxy.faults("miss") == 6
    assert client.get("a") == b"2"


def test_a_client_that_tries_again_succeeds(client, direct, proxy):
    again = RetryingClient(client, attempts=3, retry_for=[exceptions.MemcacheServerError])
    with proxy.handler("transient", kind="busy", agitate=2), at_once():
        assert again.set("a", b"1", noreply=False) is True
    assert proxy.faults("transient") == 2
    assert direct.get("a") == b"1"


def test_what_has_no_reply_gets_no_error(client, direct, proxy):
    values = {f"key-{number}": b"%d" % number for number in range(64)}
    with kept(proxy), at_once(), proxy.handler("transient", kind="oom", agitate=20):
        client.set_many(values, noreply=True)
        # It would fail if an error line came before its reply.
        stored = client.get_many(list(values))
    assert stored == dict(list(values.items())[20:])
    assert proxy.faults("transient") == 20


def test_a_reset_is_an_error_of_the_connection(client, proxy):
    with dropped(client, proxy):
        with proxy.handler("reset"), at_once(), pytest.raises(ConnectionResetError):
            client.get("a")


def test_what_was_aborted_is_done(client, direct, proxy):
    with dropped(client, proxy):
        with proxy.handler("abort"), at_once(), pytest.raises(exceptions.MemcacheUnexpectedCloseError):
            client.set("a", b"done", noreply=False)
    assert direct.get("a") == b"done"


def test_a_cut_value_is_an_error_of_the_connection(client, direct, proxy):
    direct.set("a", b"x" * 1000, noreply=False)
    with dropped(client, proxy):
        with proxy.handler("cut"), at_once(), pytest.raises(exceptions.MemcacheUnexpectedCloseError):
            client.get("a")

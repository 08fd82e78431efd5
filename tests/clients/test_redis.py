"""redis-py sees the errors of Redis as such, whichever parser it has and whichever version of the protocol it speaks."""

import contextlib

import pytest
import redis
from redis import exceptions
from redis._parsers import _HiredisParser, _RESP2Parser, _RESP3Parser
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry
from world import TIMEOUT, at_once, vaurien

PARSERS = {
    "python-resp2": (_RESP2Parser, 2),
    "python-resp3": (_RESP3Parser, 3),
    "hiredis-resp2": (_HiredisParser, 2),
    "hiredis-resp3": (_HiredisParser, 3),
}

# The class of the exception, and its text. redis-py takes away the code of the errors that it has a class for.
KINDS = {
    "err": (exceptions.ResponseError, "injected by vaurien"),
    "loading": (exceptions.BusyLoadingError, "Redis is loading the dataset in memory"),
    "busy": (
        exceptions.ResponseError,
        "BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.",
    ),
    "readonly": (exceptions.ReadOnlyError, "You can't write against a read only replica."),
    "oom": (exceptions.OutOfMemoryError, "command not allowed when used memory > 'maxmemory'."),
    "moved": (exceptions.MovedError, "12182 127.0.0.1:7001"),
    "ask": (exceptions.AskError, "12182 127.0.0.1:7001"),
    "tryagain": (exceptions.TryAgainError, "Multiple keys request during rehashing of slot"),
    "clusterdown": (exceptions.ClusterDownError, "The cluster is down"),
    "masterdown": (
        exceptions.MasterDownError,
        "Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
    ),
    "noauth": (exceptions.AuthenticationError, "Authentication required."),
    "wrongpass": (exceptions.AuthenticationError, "invalid username-password pair or user is disabled."),
    "noscript": (exceptions.NoScriptError, "No matching script."),
    "misconf": (exceptions.ResponseError, "MISCONF Errors writing to disk: writes are disabled."),
}


@pytest.fixture
def direct(redis_server):
    """An empty Redis without vaurien in front of it."""
    with redis.Redis(*redis_server, decode_responses=True) as client:
        client.flushall()
        yield client


@pytest.fixture
def proxy(redis_server, direct):
    with vaurien(redis_server, "redis") as proxy:
        yield proxy


@contextlib.contextmanager
def connect(proxy, parser, **options):
    """A client with one connection, which is open, and shows each error instead of trying again."""
    parser_class, protocol = PARSERS[parser]
    options = {"retry": Retry(NoBackoff(), 0), "decode_responses": True, **options}
    pool = redis.ConnectionPool(
        host=proxy.host,
        port=proxy.port,
        parser_class=parser_class,
        protocol=protocol,
        socket_timeout=TIMEOUT,
        max_connections=1,
        **options,
    )
    with redis.Redis(connection_pool=pool) as client:
        assert client.ping()
        yield client
    pool.disconnect()


@pytest.fixture(params=PARSERS)
def client(request, proxy):
    with connect(proxy, request.param) as client:
        yield client


@contextlib.contextmanager
def kept(client, proxy):
    """Fails if the client's connection is another one after the block."""
    before = client.client_id(), proxy.connections()
    yield
    assert (client.client_id(), proxy.connections()) == before


@contextlib.contextmanager
def dropped(client, proxy, times=1):
    """Fails if it is the same one, and if the client did not connect `times` times."""
    before = client.client_id(), proxy.connections()
    yield
    assert client.client_id() != before[0]
    assert proxy.connections() == before[1] + times


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_the_exception_that_it_is_of_redis(client, proxy, kind):
    wanted, text = KINDS[kind]
    to = {"to": "127.0.0.1:7001"} if kind in ("moved", "ask") else {}
    # It is a habit of redis-py to drop the connection at errors that it takes for those of a connection.
    ending = dropped if issubclass(wanted, exceptions.ConnectionError) else kept
    with ending(client, proxy):
        with proxy.handler("error", kind=kind, **to), at_once(), pytest.raises(wanted) as caught:
            client.get("foo")
        assert type(caught.value) is wanted
        assert str(caught.value) == text
        if to:
            assert (caught.value.slot_id, caught.value.node_addr) == (12182, ("127.0.0.1", 7001))
        assert client.set("foo", kind) and client.get("foo") == kind
    assert proxy.faults("error") == 1


def test_a_message_of_ones_own_is_the_text_of_the_exception(client, proxy):
    with kept(client, proxy):
        with proxy.handler("error", kind="readonly", message="try later"), pytest.raises(
            exceptions.ReadOnlyError, match="^try later$"
        ):
            client.set("a", 1)


def test_the_slot_is_that_of_the_hash_tag(client, proxy):
    with proxy.handler("error", kind="moved", to="[::1]:7001"), pytest.raises(exceptions.MovedError) as caught:
        client.set("{user1000}.following", 1)
    assert (caught.value.slot_id, caught.value.port) == (key_slot(b"user1000"), 7001)


def test_junk_is_noticed_at_once(client, proxy):
    for _ in range(20):
        # redis-py drops the connection, as it cannot know where the junk ends.
        with dropped(client, proxy):
            with proxy.handler("error"), at_once(), pytest.raises((exceptions.InvalidResponse, ValueError)):
                client.get("a")
    assert proxy.faults("error") == 20


def test_a_miss_is_none_or_empty(client, direct, proxy):
    direct.set("s", "full")
    direct.hset("h", "field", "full")
    direct.rpush("l", "full")
    direct.sadd("t", "full")
    direct.zadd("z", {"full": 1})
    with kept(client, proxy), proxy.handler("miss"):
        assert client.get("s") is None
        assert client.mget("s", "u") == [None, None]
        assert client.hget("h", "field") is None
        assert client.hmget("h", "field") == [None]
        assert client.hgetall("h") == {}
        assert client.lrange("l", 0, -1) == []
        assert client.lpop("l") is None
        assert client.blpop("l", timeout=1) is None
        assert client.smembers("t") == set()
        assert client.zrange("z", 0, -1, withscores=True) == []
        assert client.zscore("z", "full") is None
        assert client.keys() == []
        assert proxy.faults("miss") == 12
        # What cannot miss is done.
        assert client.set("new", 1) is True
        assert client.exists("s") == 1
        assert proxy.faults("miss") == 12
    assert client.lpop("l") == "full"


@pytest.mark.parametrize("parser", PARSERS)
def test_a_client_that_tries_again_succeeds(parser, proxy):
    retry = Retry(NoBackoff(), 3)
    # It tries again at errors of a connection, of which LOADING is one to it, and on a new connection.
    with connect(proxy, parser, retry=retry, driver_info=None) as client:
        with dropped(client, proxy, times=2), proxy.handler("transient", kind="loading", agitate=2), at_once():
            assert client.set("a", 1) is True
        assert proxy.faults("transient") == 2


@pytest.mark.parametrize("parser", PARSERS)
def test_a_client_tries_again_at_the_errors_that_it_is_told(parser, proxy):
    retry = Retry(NoBackoff(), 2)
    with connect(proxy, parser, retry=retry, retry_on_error=[exceptions.ReadOnlyError]) as client:
        with proxy.handler("transient", kind="readonly", agitate=2), at_once():
            assert client.set("a", 1) is True
    assert proxy.faults("transient") == 2


@pytest.mark.parametrize("parser", PARSERS)
def test_an_error_in_the_handshake_is_the_one_of_connecting(parser, proxy):
    with proxy.handler("error", kind="noauth"), at_once(), pytest.raises(exceptions.AuthenticationError):
        with connect(proxy, parser, username="user", password="secret"):
            pass


def test_a_reset_is_an_error_of_the_connection(client, proxy):
    with dropped(client, proxy):
        with proxy.handler("reset"), at_once(), pytest.raises(exceptions.ConnectionError, match="reset by peer"):
            client.get("a")


def test_what_was_aborted_is_done(client, direct, proxy):
    with dropped(client, proxy):
        with proxy.handler("abort"), at_once(), pytest.raises(exceptions.ConnectionError):
            client.set("a", "done")
    assert direct.get("a") == "done"


def test_a_cut_reply_is_an_error_of_the_connection(client, direct, proxy):
    direct.set("a", "x" * 1000)
    with dropped(client, proxy):
        with proxy.handler("cut"), at_once(), pytest.raises(exceptions.ConnectionError):
            client.get("a")


def test_in_a_pipeline_every_other_reply_is_in_its_place(client, proxy):
    errors = 0
    with kept(client, proxy), proxy.handler("30:error(kind=readonly),10:miss"), at_once():
        for turn in range(5):
            pipeline = client.pipeline(transaction=False)
            for number in range(64):
                pipeline.echo(f"{turn}-{number}") if number % 2 else pipeline.get("nothing")
            replies = pipeline.execute(raise_on_error=False)
            assert len(replies) == 64
            for number, reply in enumerate(replies):
                if isinstance(reply, exceptions.ReadOnlyError):
                    errors += 1
                else:
                    assert reply == (f"{turn}-{number}" if number % 2 else None)
        assert proxy.faults("error") == errors
        assert 60 < errors < 130 and proxy.faults("miss") > 5


def test_a_pipeline_ends_at_an_error_that_ends_the_connection(client, proxy):
    # It is a habit of redis-py to leave the rest of the pipeline unread, and with it the connection.
    with dropped(client, proxy):
        pipeline = client.pipeline(transaction=False)
        for number in range(64):
            pipeline.echo(number)
        with proxy.handler("transient", kind="loading", warmup=10), at_once(), pytest.raises(
            exceptions.BusyLoadingError
        ):
            pipeline.execute(raise_on_error=False)
    assert client.pipeline(transaction=False).echo("a").echo("b").execute() == ["a", "b"]


@pytest.mark.parametrize("refused", range(1, 5), ids=["first", "second", "third", "exec"])
def test_a_transaction_of_which_a_command_was_refused_is_not_done(client, direct, proxy, refused):
    with kept(client, proxy):
        # The first call is MULTI. The exception that redis-py raises at EXECABORT is that of the command.
        with proxy.handler("transient", kind="oom", warmup=refused), at_once(), pytest.raises(
            exceptions.OutOfMemoryError
        ):
            client.pipeline(transaction=True).set("a", 1).incr("b").rpush("c", 1).execute()
        assert proxy.faults("transient") == 1
        assert direct.keys() == []
        # The connection is no longer within a transaction.
        assert client.get("a") is None
        assert client.pipeline(transaction=True).set("a", 1).get("a").execute() == [True, "1"]


def test_exec_itself_tells_that_it_was_aborted(client, direct, proxy):
    with kept(client, proxy), client.pipeline() as pipeline:
        pipeline.watch("a")
        pipeline.multi()
        # One call of the connection after the other, as redis-py would hide the reply to EXEC.
        connection = pipeline.connection
        replies = []
        with proxy.handler("transient", kind="oom", warmup=1), at_once():
            for command in (["MULTI"], ["SET", "a", 1], ["SET", "b", 1], ["EXEC"], ["ECHO", "end"]):
                connection.send_command(*command)
                try:
                    replies.append(connection.read_response())
                except exceptions.ResponseError as error:
                    replies.append(type(error))
        assert replies == ["OK", exceptions.OutOfMemoryError, "QUEUED", exceptions.ExecAbortError, "end"]
    assert direct.keys() == []


def test_after_a_multi_that_was_refused_there_is_no_transaction(client, direct, proxy):
    # As with Redis, commands behind a MULTI that was refused are done at once, and EXEC fails.
    with kept(client, proxy):
        with proxy.handler("transient", kind="oom"), at_once(), pytest.raises(
            exceptions.ResponseError, match="EXEC without MULTI"
        ):
            client.pipeline(transaction=True).set("a", 1).execute()
        assert client.get("a") == "1"


def test_a_watched_key_is_not_watched_after_a_transaction_that_was_aborted(client, direct, proxy):
    with kept(client, proxy), client.pipeline() as pipeline:
        pipeline.watch("a")
        pipeline.multi()
        pipeline.set("a", 1)
        with proxy.handler("transient", kind="oom", warmup=2), pytest.raises(exceptions.OutOfMemoryError):
            pipeline.execute()
        direct.set("a", 2)
        assert pipeline.set("a", 3).execute() == [True]

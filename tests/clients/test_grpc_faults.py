"""What grpcio's clients see of each fault, and that calls beside it on the same connection do not."""

import collections
import contextlib
import itertools
import json
import threading
import time

import grpc
import pytest
from grpc_world import SERVICE, connected, failure_of, grpc_server, until_broken
from world import TIMEOUT, at_once, vaurien

Code = grpc.StatusCode


@pytest.fixture(scope="module")
def backend():
    with grpc_server() as backend:
        yield backend


@pytest.fixture(scope="module")
def shared(backend):
    with vaurien(backend.address, "grpc") as proxy:
        yield proxy


@pytest.fixture
def service(backend):
    backend.service.begin()
    backend.service.seen.clear()
    return backend.service


@pytest.fixture
def proxy(shared, service):
    """vaurien, whose counters begin at what they are."""
    shared.begun = dict(shared.get()["status"]["faults"])
    return shared


@pytest.fixture
def channel(proxy):
    with connected(proxy) as channel:
        assert channel.call() == b"x"
        yield channel


def faults(proxy, handler):
    """How many faults of the handler there were, in a rule or not."""
    now = proxy.get()["status"]["faults"]
    return sum(now[name] - proxy.begun.get(name, 0) for name in now if name.rpartition(".")[2] == handler)


@contextlib.contextmanager
def kept(channel, proxy):
    """Fails if the channel's next call is on another connection, or fails."""
    before = proxy.connections()
    yield
    assert channel.call() == b"x"
    assert proxy.connections() == before


@contextlib.contextmanager
def beside(channel):
    """A stream of messages on the same connection, which goes on as if nothing happened."""
    sent = itertools.count()
    turn, over = threading.Semaphore(0), threading.Event()

    def requests():
        while turn.acquire(timeout=TIMEOUT) and not over.is_set():
            yield b"%d" % next(sent)

    chat = channel.call("Chat", requests())
    turn.release()
    assert next(chat) == b"0"
    yield
    turn.release()
    assert next(chat) == b"1"
    over.set()
    turn.release()
    assert list(chat) == []


def recovers(channel):
    """Calls until that works. grpcio may have given calls to a connection before it has noticed that it is broken."""
    for _ in range(100):
        with contextlib.suppress(grpc.RpcError):
            assert channel.call(wait_for_ready=True) == b"x"
            return
    raise AssertionError("the channel does not recover")


@pytest.mark.parametrize("code", [code for code in Code if code != Code.OK])
def test_a_status_is_the_one_that_was_asked_for(channel, proxy, code):
    message = f"100% {code.name}: ünïcode, “and” more"
    with kept(channel, proxy), at_once():
        with proxy.handler("error", grpc=code.name, message=message):
            assert channel.failure() == (code, message)
            for method in ("Download", "Chat"):
                request = b"3 100" if method == "Download" else iter([b"x"] * 3)
                assert until_broken(channel.call(method, request)) == ([], code, message)
            assert failure_of(lambda: channel.call("Upload", iter([b"x" * 100000] * 3))) == (code, message)
    assert faults(proxy, "error") == 4


def test_an_error_is_unavailable_and_says_who_did_it(channel, proxy, service):
    with kept(channel, proxy), proxy.handler("error"), at_once():
        code, details = channel.failure()
    assert code == Code.UNAVAILABLE
    assert "vaurien" in details
    assert service.seen == [SERVICE + "Get"] * 2


def test_metadata_comes_with_a_status(channel, proxy):
    with proxy.handler("error", grpc="RESOURCE_EXHAUSTED", headers=["x-why: test"]), pytest.raises(grpc.RpcError) as caught:
        channel.call()
    assert ("x-why", "test") in [tuple(pair) for pair in caught.value.initial_metadata() + caught.value.trailing_metadata()]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, Code.INTERNAL),
        (401, Code.UNAUTHENTICATED),
        (403, Code.PERMISSION_DENIED),
        (404, Code.UNIMPLEMENTED),
        (429, Code.UNAVAILABLE),
        (502, Code.UNAVAILABLE),
        (503, Code.UNAVAILABLE),
        (500, Code.UNKNOWN),
    ],
)
def test_a_status_of_http_is_what_grpc_makes_of_it(channel, proxy, status, code):
    """https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md"""
    with kept(channel, proxy), proxy.handler("error", status=str(status)), at_once():
        seen, details = channel.failure()
    assert (seen, str(status) in details) == (code, True)


def test_a_miss_is_not_found(channel, proxy):
    with kept(channel, proxy), proxy.handler("miss"), at_once():
        assert channel.failure()[0] == Code.NOT_FOUND
    assert faults(proxy, "miss") == 1


# Of five messages of 100 bytes, each with five in front, 250 bytes are two and a part of the third.
@pytest.mark.parametrize(
    ("after", "how", "messages", "code"),
    [
        ("250", "close", 2, Code.UNAVAILABLE),
        ("210", "close", 2, Code.UNAVAILABLE),
        ("0", "close", 0, Code.UNAVAILABLE),
        ("250", "reset", 2, Code.INTERNAL),
        ("210", "reset", 2, Code.INTERNAL),
        ("250", "hang", 2, Code.DEADLINE_EXCEEDED),
    ],
)
def test_a_stream_is_cut_between_messages_or_within_one(channel, proxy, after, how, messages, code):
    with kept(channel, proxy), beside(channel), proxy.rules(f"/*/Download => cut(after={after}, how={how})"), at_once():
        seen, broken, _ = until_broken(channel.call("Download", b"5 100", timeout=1 if how == "hang" else TIMEOUT))
    # When it reads of a reset, grpcio drops the messages that the caller has not taken yet.
    assert broken == code
    assert len(seen) == messages or (how == "reset" and len(seen) < messages)
    assert all(len(message) == 100 for message in seen)
    assert faults(proxy, "cut") == 1


def test_a_reply_is_slow(channel, proxy):
    begun = time.monotonic()
    with kept(channel, proxy), proxy.rules("/*/Download => slow(rate=1000, first=100)"), at_once():
        for number, _ in enumerate(channel.call("Download", b"5 100")):
            # What came is not ahead of what has been let through.
            assert time.monotonic() - begun > (105 * (number + 1) - 100) / 1000 - 0.01
        assert number == 4
    assert time.monotonic() - begun >= 0.4
    assert faults(proxy, "slow") == 1


def test_the_first_message_is_corrupt_and_has_its_length(channel, proxy):
    with kept(channel, proxy), proxy.rules("/*/Download => corrupt(bytes=3)"), at_once():
        first, second = channel.call("Download", b"2 100")
    assert (len(first), sum(byte != ord("a") for byte in first)) == (100, 3)
    assert second == b"b" * 100


def test_a_delay_is_of_the_method_that_it_was_asked_for(channel, proxy):
    begun = time.monotonic()
    with kept(channel, proxy), proxy.rules(f"{SERVICE}Pay => delay(sleep=1s)"):
        late = channel.Pay.future(b"late", timeout=TIMEOUT)
        for _ in range(20):
            assert channel.call() == b"x"
        assert not late.done()
        assert late.result() == b"late"
    assert time.monotonic() - begun >= 1
    assert faults(proxy, "delay") == 1


@pytest.mark.parametrize("before", ["true", "false"])
def test_a_delay_beyond_the_deadline_exceeds_it(channel, proxy, before):
    with kept(channel, proxy), proxy.rules(f"/*/Pay => delay(sleep=20s, before={before})"), at_once():
        assert channel.failure("Pay", timeout=0.3)[0] == Code.DEADLINE_EXCEEDED
    assert faults(proxy, "delay") == 1


def test_a_call_that_hangs_leaves_others_alone(channel, proxy, service):
    with kept(channel, proxy), beside(channel), proxy.rules("/*/Pay => hang"), at_once():
        stuck = channel.Pay.future(b"x", timeout=0.5)
        for _ in range(20):
            assert channel.call() == b"x"
        assert failure_of(stuck.result)[0] == Code.DEADLINE_EXCEEDED
    assert SERVICE + "Pay" not in service.seen


def test_what_was_aborted_is_done(channel, proxy, service):
    with kept(channel, proxy), beside(channel), proxy.rules("/*/Pay => abort"), at_once():
        assert channel.failure("Pay")[0] == Code.CANCELLED
    assert SERVICE + "Pay" in service.seen


@pytest.mark.parametrize(
    ("handler", "code"),
    [
        ("blackout", Code.CANCELLED),
        ("reset", Code.INTERNAL),
        ("reset(code=CANCEL)", Code.CANCELLED),
        ("reset(code=REFUSED_STREAM)", Code.UNAVAILABLE),
        ("reset(code=ENHANCE_YOUR_CALM)", Code.RESOURCE_EXHAUSTED),
        ("reset(code=INADEQUATE_SECURITY)", Code.PERMISSION_DENIED),
    ],
)
def test_a_call_is_reset_alone(channel, proxy, service, handler, code):
    with kept(channel, proxy), beside(channel), proxy.rules(f"/*/Pay|/*/Download => {handler}"), at_once():
        assert channel.failure("Pay")[0] == code
        seen, broken, _ = until_broken(channel.call("Download", b"5 100"))
        assert (seen, broken) == ([], code)
    assert faults(proxy, handler.partition("(")[0]) == 2
    assert SERVICE + "Pay" not in service.seen


def test_the_connection_is_reset_with_all_calls(channel, proxy):
    before = proxy.connections()
    with proxy.rules("/*/Pay => reset(connection=true)"), at_once():
        waits = channel.Wait.future(b"x", timeout=TIMEOUT)
        assert channel.failure("Pay")[0] == Code.UNAVAILABLE
        assert failure_of(waits.result)[0] == Code.UNAVAILABLE
        recovers(channel)
    assert proxy.connections() == before + 1


def test_a_client_that_is_told_to_go_away_loses_no_call(channel, proxy, service):
    before = proxy.connections()
    with beside(channel), proxy.rules("/*/Pay times=3 => goaway"), at_once():
        for _ in range(3):
            assert channel.call("Pay", wait_for_ready=True) == b"x"
            # The client may not have read it when it makes the next call.
            connections = proxy.connections()
            while proxy.connections() == connections:
                assert channel.call(wait_for_ready=True) == b"x"
    assert proxy.connections() == before + 3
    assert faults(proxy, "goaway") == 3
    assert service.seen.count(SERVICE + "Pay") == 3


def test_a_client_that_is_told_to_go_away_at_once_reconnects(channel, proxy):
    before = proxy.connections()
    with proxy.rules("/*/Pay times=1 => goaway(code=ENHANCE_YOUR_CALM)"), at_once():
        assert channel.failure("Pay")[0] in (Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED)
        recovers(channel)
    assert proxy.connections() == before + 1


def test_a_client_with_a_policy_tries_again(proxy, service):
    policy = {"maxAttempts": 4, "initialBackoff": "0.01s", "maxBackoff": "0.02s", "backoffMultiplier": 1}
    config = {"methodConfig": [{"name": [{}], "retryPolicy": {**policy, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
    with connected(proxy, service_config=json.dumps(config), enable_retries=1) as channel:
        with proxy.rules("/*/Pay times=2 => error(grpc=UNAVAILABLE)"), at_once():
            assert channel.call("Pay") == b"x"
        assert faults(proxy, "error") == 2
        assert [metadata for metadata in service.metadata.items() if "previous" in metadata[0]] == [
            ("grpc-previous-rpc-attempts", "2")
        ]
        assert service.seen == [SERVICE + "Pay"]
        with proxy.handler("error", grpc="UNAVAILABLE"), at_once():
            assert channel.failure()[0] == Code.UNAVAILABLE
        assert faults(proxy, "error") == 6
        with proxy.handler("error", grpc="INTERNAL"), at_once():
            assert channel.failure()[0] == Code.INTERNAL
        assert faults(proxy, "error") == 7


def test_a_server_says_when_to_try_again(proxy):
    policy = {"maxAttempts": 2, "initialBackoff": "20s", "maxBackoff": "20s", "backoffMultiplier": 1}
    config = {"methodConfig": [{"name": [{}], "retryPolicy": {**policy, "retryableStatusCodes": ["UNAVAILABLE"]}}]}
    with connected(proxy, service_config=json.dumps(config)) as channel:
        error = 'error(grpc=UNAVAILABLE, headers="grpc-retry-pushback-ms: 200")'
        begun = time.monotonic()
        with proxy.rules(f"/*/Pay times=1 => {error}"), at_once():
            assert channel.call("Pay") == b"x"
        assert time.monotonic() - begun >= 0.2


def test_rules_see_paths_and_metadata(channel, proxy):
    hit, passes = Code.ABORTED, None

    def outcome(method, **options):
        try:
            channel.call(method, **options)
        except grpc.RpcError as error:
            return error.code()
        return passes

    acme = {"metadata": [("x-tenant", "acme")]}
    for rule, expected in [
        ("/shop.v1.Orders/Pay*", [hit, hit, passes, passes]),
        ("/*/Get", [passes, passes, hit, hit]),
        ("* header.x-tenant=acme", [passes, passes, passes, hit]),
        ("/shop.v2.* header.x-tenant=acme|other", [passes, passes, passes, hit]),
        ("service=shop.v1.*", [hit, hit, hit, passes]),
        ("service=shop.v?.Orders method=Pay|Get", [hit, passes, hit, hit]),
    ]:
        with proxy.rules(f"{rule} => error(grpc=ABORTED)"):
            seen = [outcome("Pay"), outcome("PayAll"), outcome("Get"), outcome("/shop.v2.Orders/Get", **acme)]
        assert seen == expected, rule


def test_the_same_seed_hits_the_same_calls(service, backend):
    def run():
        with vaurien(backend.address, "grpc", "--handler", "30:error(grpc=ABORTED),20:reset") as proxy:
            with connected(proxy) as channel:
                codes = []
                for _ in range(60):
                    try:
                        channel.call()
                        codes.append(Code.OK)
                    except grpc.RpcError as error:
                        codes.append(error.code())
            return codes

    first = run()
    assert {Code.OK, Code.ABORTED, Code.INTERNAL} == set(first)
    assert run() == first


def outcomes(channel, number):
    """How many calls of so many, 100 at a time, come to what."""
    method, seen = channel.Get, collections.Counter()
    for _ in range(number // 100):
        for call in [method.future(b"x", timeout=TIMEOUT, wait_for_ready=True) for _ in range(100)]:
            seen[Code.OK if call.exception() is None else call.code()] += 1
    return seen


def test_as_many_calls_fail_as_are_counted(service, backend):
    mix = "5:error(grpc=ABORTED),5:reset,5:abort,5:miss,5:cut(after=2),5:delay(sleep=10ms)"
    with vaurien(backend.address, "grpc", "--handler", mix) as proxy, connected(proxy) as channel:
        seen = outcomes(channel, 1000)
        assert proxy.connections() == 1
        codes = [Code.ABORTED, Code.INTERNAL, Code.CANCELLED, Code.NOT_FOUND, Code.UNAVAILABLE]
        counted = [proxy.faults(handler) for handler in ("error", "reset", "abort", "miss", "cut")]
    assert [seen[code] for code in codes] == counted
    assert min(counted) > 20
    assert seen[Code.OK] == 1000 - sum(counted)
    assert len(service.seen) == 1000 - sum(counted[:2]) - counted[3]


def test_no_call_of_many_is_lost_when_clients_are_told_to_go_away(service, backend):
    with vaurien(backend.address, "grpc", "--handler", "2:goaway") as proxy, connected(proxy) as channel:
        assert outcomes(channel, 1000) == {Code.OK: 1000}
        assert proxy.faults("goaway") > 5
        assert proxy.connections() > 2
    assert len(service.seen) == 1000


def test_events_name_the_method(backend, tmp_path):
    file = tmp_path / "events"
    options = ["--events", str(file), "--rule", "/*/Pay => error"]
    with vaurien(backend.address, "grpc", *options) as proxy, connected(proxy) as channel:
        assert channel.call() == b"x"
        assert channel.failure("Pay")[0] == Code.UNAVAILABLE
    events = [json.loads(line) for line in file.read_text().splitlines()]
    (fault,) = [event for event in events if event["event"] == "fault"]
    assert fault["head"] == {"method": "POST", "path": SERVICE + "Pay"}
    assert (fault["connection"], fault["call"], fault["handler"], fault["verdict"]) == (1, 2, "error", "answer")


def test_with_http_calls_fail_as_well(service, backend):
    """A first call of HTTP/2 is only known by its head, which a rule waits for."""
    with vaurien(backend.address, "http", "--rule", "/*/Pay => error(grpc=ABORTED)", "--rule", "/*/Buy => error") as proxy:
        with connected(proxy) as channel:
            assert channel.failure("Pay")[0] == Code.ABORTED
            # 500 to 503, at random.
            assert channel.failure("Buy")[0] in (Code.UNKNOWN, Code.UNAVAILABLE, Code.UNIMPLEMENTED)
            assert channel.call() == b"x"
        assert proxy.connections() == 1

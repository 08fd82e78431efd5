"""grpcio's clients and servers do not notice vaurien between them: messages, metadata, deadlines, cancellations, and ends of
connections."""

import contextlib
import itertools
import os
import subprocess
import sys
import threading
import time

import grpc
import pytest
from grpc_world import SERVICE, connected, grpc_server, until_broken
from world import TIMEOUT, at_once, vaurien

Code = grpc.StatusCode


class World:
    """A backend, vaurien in front of it, and how to reach that."""

    def __init__(self, backend, proxy, credentials=None):
        self.backend, self.proxy, self.credentials = backend, proxy, credentials
        self.service = backend.service

    def connected(self, **options):
        return connected(self.proxy, self.credentials, **options)


def certificate(folder):
    """A certificate for localhost that has signed itself: the files of its key and of itself."""
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", cert]
    subprocess.run(command, check=True, capture_output=True)
    return key, cert


@contextlib.contextmanager
def encrypted(folder):
    """TLS on both sides."""
    key, cert = certificate(folder)
    server = grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])
    own = ["--tls", "auto", "--tls-dir", str(folder), "--backend-ca", str(cert)]
    with grpc_server(credentials=server) as backend, vaurien(backend.address, "http", *own) as proxy:
        authority = (folder / "ca.pem").read_bytes()
        yield World(backend, proxy, grpc.ssl_channel_credentials(root_certificates=authority))


@contextlib.contextmanager
def plain(protocol, *options, **backend_options):
    with grpc_server(**backend_options) as backend, vaurien(backend.address, protocol, *options) as proxy:
        yield World(backend, proxy)


@pytest.fixture(scope="module", params=["grpc", "http", "http within TLS"])
def world(request, tmp_path_factory):
    made = encrypted(tmp_path_factory.mktemp("tls")) if "TLS" in request.param else plain(request.param)
    with made as world:
        yield world


@pytest.fixture
def channel(world):
    world.service.begin()
    before = world.proxy.connections()
    with world.connected() as channel:
        yield channel
    # Whatever happened on it, the channel has kept its one connection, in which vaurien knows each call.
    assert world.proxy.connections() == before + 1


@pytest.fixture
def own():
    """A backend and a proxy for one test."""
    with plain("grpc") as world:
        yield world


def test_a_call_has_its_reply_and_its_metadata(world, channel):
    metadata = [("x-tenant", "acme"), ("x-raw-bin", b"\0\1\xfe\xff")]
    reply, call = channel.Get.with_call(b"hello", timeout=TIMEOUT, metadata=metadata)
    assert reply == b"hello"
    assert world.service.metadata["x-tenant"] == "acme"
    assert world.service.metadata["x-raw-bin"] == b"\0\1\xfe\xff"
    assert [tuple(pair) for pair in call.initial_metadata()] == [("x-begin", "1"), ("x-begin-bin", b"\0\xff")]
    assert [tuple(pair) for pair in call.trailing_metadata()] == [("x-end", "a"), ("x-end", "b"), ("x-end-bin", b"\1\xfe")]


def test_messages_without_a_byte_are_messages(channel):
    assert channel.call(request=b"") == b""
    assert list(channel.call("Download", b"3 0")) == [b""] * 3
    assert channel.call("Upload", iter([b""] * 4)) == b"4 0"


def test_streams_pass_in_both_directions(channel):
    assert channel.call("Upload", iter([b"x" * size for size in range(300)])) == b"300 44850"
    assert channel.call("Upload", iter([])) == b"0 0"
    replies = list(channel.call("Download", b"200 1000"))
    assert [reply[:1] for reply in replies[:3]] == [b"a", b"b", b"c"]
    assert [len(reply) for reply in replies] == [1000] * 200
    assert list(channel.call("Download", b"0 0")) == []


def test_messages_pass_one_by_one(channel):
    """Each message is sent once the answer to the last one is here."""
    answered = threading.Semaphore(1)

    def requests():
        for number in range(100):
            assert answered.acquire(timeout=TIMEOUT)
            yield f"{number}".encode()

    with at_once():
        for number, reply in enumerate(channel.call("Chat", requests())):
            assert reply == f"{number}".encode()
            answered.release()
    assert number == 99


def test_a_status_comes_with_its_message_and_its_metadata(channel):
    message = "100% of Zürich\n is “down”"
    with pytest.raises(grpc.RpcError) as caught:
        channel.call("Fail", message.encode())
    assert (caught.value.code(), caught.value.details()) == (Code.FAILED_PRECONDITION, message)
    assert ("x-why", "test") in [tuple(pair) for pair in caught.value.trailing_metadata()]


def test_a_deadline_passes_at_both_ends(world, channel):
    assert channel.failure("Wait", timeout=0.3)[0] == Code.DEADLINE_EXCEEDED
    assert world.service.cancelled.acquire(timeout=TIMEOUT)
    assert channel.call() == b"x"


def test_the_server_learns_that_a_call_is_cancelled(world, channel):
    call = channel.Wait.future(b"x", timeout=TIMEOUT)
    assert world.service.waiting.acquire(timeout=TIMEOUT)
    assert not world.service.cancelled.acquire(blocking=False)
    call.cancel()
    assert world.service.cancelled.acquire(timeout=TIMEOUT)
    assert channel.call() == b"x"


def test_the_server_learns_that_a_stream_is_cancelled(world, channel):
    goes_on = threading.Event()

    def requests():
        yield b"1"
        goes_on.wait(TIMEOUT)

    chat = channel.call("Chat", requests())
    assert next(chat) == b"1"
    assert not world.service.ended.acquire(blocking=False)
    chat.cancel()
    goes_on.set()
    assert world.service.ended.acquire(timeout=TIMEOUT)
    assert channel.call() == b"x"


def test_large_messages_pass(channel):
    large = bytes(range(256)) * 64 * 1024
    assert channel.call(request=large) == large
    assert channel.call("Upload", iter([large] * 3)) == b"3 %d" % (3 * len(large))


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_messages_pass(world, channel, compression):
    text = b"compressible " * 10000
    before = world.proxy.sent()
    assert channel.call(request=text, compression=compression) == text
    assert world.proxy.sent() - before < 10000


def test_rules_act_on_their_calls_alone(world, channel):
    abort, cut = f"{SERVICE}Pay => error(grpc=ABORTED)", f"{SERVICE}Download => cut(after=250)"
    with world.proxy.rules(abort, cut), at_once():
        assert channel.failure("Pay")[0] == Code.ABORTED
        assert channel.call() == b"x"
        # Of messages of 105 bytes.
        assert until_broken(channel.call("Download", b"5 100"))[:2] == ([b"a" * 100, b"b" * 100], Code.UNAVAILABLE)
    assert channel.call("Pay") == b"x"


def test_wait_for_ready_waits_for_the_backend():
    with grpc_server() as backend:
        host, port = backend.address
    with vaurien((host, port), "grpc") as proxy, connected(proxy) as channel:
        assert channel.failure()[0] == Code.UNAVAILABLE
        call = channel.Get.future(b"late", timeout=TIMEOUT, wait_for_ready=True)
        with grpc_server(port):
            assert call.result() == b"late"


def test_pings_are_answered(own):
    """With these options the client closes a connection on which a ping has no answer for as long as that."""
    pings = {"keepalive_time_ms": 200, "keepalive_timeout_ms": 100, "keepalive_permit_without_calls": 1}
    with own.connected(**pings, **{"http2.max_pings_without_data": 0}) as channel:
        waits = channel.Wait.future(b"x", timeout=TIMEOUT)
        assert own.service.waiting.acquire(timeout=TIMEOUT)
        sent = own.proxy.sent()
        # Nothing but pings is sent meanwhile, of 17 bytes each.
        end = time.monotonic() + TIMEOUT
        while own.proxy.sent() < sent + 2 * 17:
            assert time.monotonic() < end, "no pings"
            time.sleep(0.02)
        assert not waits.done()
        assert channel.call() == b"x"
        waits.cancel()
    assert own.proxy.connections() == 1


def test_a_thousand_calls_are_open_on_one_connection(own):
    own.service.meeting = threading.Barrier(1000)
    with own.connected() as channel:
        method = channel.Meet
        calls = [method.future(b"%d" % number, timeout=TIMEOUT) for number in range(1000)]
        assert [call.result() for call in calls] == [b"%d" % number for number in range(1000)]
    assert own.service.most_open == 1000
    assert own.proxy.connections() == 1


def test_the_backend_says_how_many_calls_may_be_open():
    """The client waits with a call beyond that, as it would without the proxy."""
    with plain("grpc", max_concurrent_streams=3) as world, world.connected() as channel:
        method = channel.Wait
        calls = [method.future(b"x", timeout=TIMEOUT) for _ in range(3)]
        for _ in calls:
            assert world.service.waiting.acquire(timeout=TIMEOUT)
        assert channel.failure(timeout=0.3)[0] == Code.DEADLINE_EXCEEDED
        assert world.service.seen == [SERVICE + "Wait"] * 3
        calls[0].cancel()
        assert channel.call() == b"x"
        assert world.proxy.connections() == 1


def test_a_channel_recovers_when_the_backend_is_back():
    with contextlib.ExitStack() as stack:
        with grpc_server() as backend:
            proxy = stack.enter_context(vaurien(backend.address, "grpc"))
            channel = stack.enter_context(connected(proxy))
            assert channel.call() == b"x"
        with at_once():
            assert channel.failure()[0] == Code.UNAVAILABLE
        with grpc_server(backend.address[1]):
            assert channel.call(wait_for_ready=True) == b"x"


def test_calls_that_are_open_end_in_order_when_the_backend_stops():
    """A server that stops gracefully sends GOAWAY: open calls go on, new ones get a connection of their own."""
    with contextlib.ExitStack() as stack:
        old = stack.enter_context(grpc_server())
        proxy = stack.enter_context(vaurien(old.address, "grpc"))
        channel = stack.enter_context(connected(proxy))
        messages = itertools.count()
        answered, over = threading.Semaphore(1), threading.Event()

        def requests():
            while answered.acquire(timeout=TIMEOUT) and not over.is_set():
                yield b"%d" % next(messages)

        chat = channel.call("Chat", requests())
        assert next(chat) == b"0"
        stopped = old.stop(TIMEOUT)
        stack.enter_context(grpc_server(old.address[1]))
        # The new connection is to the new server.
        before = len(old.service.seen)
        end = time.monotonic() + TIMEOUT
        assert channel.call(wait_for_ready=True) == b"x"
        while proxy.connections() == 1 and time.monotonic() < end:
            assert channel.call(wait_for_ready=True) == b"x"
        answered.release()
        assert next(chat) == b"1"
        over.set()
        answered.release()
        assert list(chat) == []
        assert stopped.wait(TIMEOUT)
        assert proxy.connections() == 2
        assert len(old.service.seen) >= before


def test_a_wrapped_client_trusts_the_proxy_without_an_option(tmp_path):
    key, cert = certificate(tmp_path)
    client = f"""
import grpc, os
channel = grpc.secure_channel(os.environ["VAURIEN_PROXY"], grpc.ssl_channel_credentials())
print(channel.unary_unary({SERVICE + "Get"!r})(b"x", timeout={TIMEOUT}).decode())
"""
    with grpc_server(credentials=grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])) as backend:
        command = [os.environ["VAURIEN"], "--backend", "{}:{}".format(*backend.address), "--backend-ca", cert, "--protocol", "grpc"]
        command += ["--tls", "auto", "--tls-dir", tmp_path, "--", sys.executable, "-c", client]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT)
    assert (ended.returncode, ended.stdout) == (0, "x\n"), ended.stderr

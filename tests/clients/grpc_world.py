"""A gRPC server whose messages are plain bytes, and channels to it. Nothing is generated from .proto files."""

import concurrent.futures
import contextlib
import threading

import grpc
from world import TIMEOUT

# Each channel has a connection of its own, and reconnects fast.
OPTIONS = {
    "grpc.use_local_subchannel_pool": 1,
    "grpc.enable_http_proxy": 0,
    "grpc.initial_reconnect_backoff_ms": 100,
    "grpc.min_reconnect_backoff_ms": 100,
    "grpc.max_reconnect_backoff_ms": 200,
    "grpc.max_receive_message_length": -1,
    "grpc.max_send_message_length": -1,
}

SERVICE = "/shop.v1.Orders/"


class Service(grpc.GenericRpcHandler):
    """Methods of any service, told apart by the end of their path."""

    def __init__(self):
        # The paths that were called, in order, and the metadata of the last call.
        self.seen = []
        self.metadata = {}
        self.begin()
        # Calls of `Meet` go on once all are here.
        self.meeting = threading.Barrier(1)
        self.open = 0
        self.most_open = 0
        self.lock = threading.Lock()

    def begin(self):
        """Forgets what clients of `Wait` and `Chat` have come to."""
        self.waiting = threading.Semaphore(0)
        self.cancelled = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def service(self, details):
        self.seen.append(details.method)
        self.metadata = dict(details.invocation_metadata)
        method = details.method.rpartition("/")[2]
        kinds = {
            "Upload": (grpc.stream_unary_rpc_method_handler, self.upload),
            "Download": (grpc.unary_stream_rpc_method_handler, self.download),
            "Chat": (grpc.stream_stream_rpc_method_handler, self.chat),
            "Fail": (grpc.unary_unary_rpc_method_handler, self.fail),
            "Wait": (grpc.unary_unary_rpc_method_handler, self.wait),
            "Meet": (grpc.unary_unary_rpc_method_handler, self.meet),
        }
        handler, behaviour = kinds.get(method, (grpc.unary_unary_rpc_method_handler, self.echo))
        return handler(behaviour)

    def echo(self, request, context):
        context.send_initial_metadata([("x-begin", "1"), ("x-begin-bin", b"\0\xff")])
        context.set_trailing_metadata([("x-end", "a"), ("x-end", "b"), ("x-end-bin", b"\1\xfe")])
        return request

    def upload(self, requests, _):
        """How many messages there were, and bytes."""
        sizes = [len(request) for request in requests]
        return f"{len(sizes)} {sum(sizes)}".encode()

    def download(self, request, _):
        """As many messages as the request says, of the size that it says: `5 100`."""
        number, size = map(int, request.split())
        for one in range(number):
            yield bytes([ord("a") + one % 26]) * size

    def chat(self, requests, context):
        context.add_callback(self.ended.release)
        yield from requests

    def fail(self, request, context):
        context.set_trailing_metadata([("x-why", "test")])
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode())

    def wait(self, request, context):
        """Does not answer until the client gives up."""
        over = threading.Event()
        assert context.add_callback(over.set)
        self.waiting.release()
        over.wait(TIMEOUT)
        assert not context.is_active()
        self.cancelled.release()
        return request

    def meet(self, request, _):
        with self.lock:
            self.open += 1
            self.most_open = max(self.most_open, self.open)
        self.meeting.wait(TIMEOUT)
        with self.lock:
            self.open -= 1
        return request


@contextlib.contextmanager
def grpc_server(port=0, credentials=None, **options):
    """A server, as what it calls: `service` and `address`."""
    executor = concurrent.futures.ThreadPoolExecutor(max_workers=1100)
    options = {**OPTIONS, "grpc.so_reuseport": 0, **{f"grpc.{name}": value for name, value in options.items()}}
    server = grpc.server(executor, options=list(options.items()))
    server.service = Service()
    server.add_generic_rpc_handlers([server.service])
    address = f"localhost:{port}" if credentials else f"127.0.0.1:{port}"
    port = server.add_secure_port(address, credentials) if credentials else server.add_insecure_port(address)
    server.address = (address.partition(":")[0], port)
    server.start()
    try:
        yield server
    finally:
        server.stop(None).wait(TIMEOUT)
        executor.shutdown(cancel_futures=True)


class Channel:
    """A channel, and calls of the service `shop.v1.Orders` on it. Each gives up after `TIMEOUT` at the latest."""

    def __init__(self, channel):
        self.channel = channel

    def __getattr__(self, method):
        """`channel.Upload`: a callable of the method of this name. Names of other services begin with `/`."""
        kinds = {"Upload": "stream_unary", "Download": "unary_stream", "Chat": "stream_stream"}
        kind = kinds.get(method.rpartition("/")[2], "unary_unary")
        return getattr(self.channel, kind)(method if method.startswith("/") else SERVICE + method)

    def call(self, method="Get", request=b"x", **options):
        return getattr(self, method)(request, **{"timeout": TIMEOUT, **options})

    def failure(self, method="Get", request=b"x", **options):
        """The code and the details with which a call fails."""
        return failure_of(lambda: self.call(method, request, **options))


def failure_of(call):
    try:
        answer = call()
    except grpc.RpcError as error:
        return error.code(), error.details()
    raise AssertionError(f"the call did not fail: {answer}")


def until_broken(replies):
    """The messages that arrive of a stream, and how it ends."""
    seen = []
    try:
        for reply in replies:
            seen.append(reply)
    except grpc.RpcError as error:
        return seen, error.code(), error.details()
    return seen, grpc.StatusCode.OK, None


@contextlib.contextmanager
def connected(proxy, credentials=None, **options):
    """A channel to a proxy. Within TLS it calls it by its name."""
    options = {**OPTIONS, **{f"grpc.{name}": value for name, value in options.items()}}
    if credentials:
        made = grpc.secure_channel(f"localhost:{proxy.port}", credentials, options=list(options.items()))
    else:
        made = grpc.insecure_channel(f"{proxy.host}:{proxy.port}", options=list(options.items()))
    with made as channel:
        yield Channel(channel)

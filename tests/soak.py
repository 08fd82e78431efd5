"""One daemon with seven proxies in front of real servers, while everything happens to it: see tests/soak.sh.

Calm proxies have no handlers but `delay`, and nobody kills their servers or clients: there every byte has to be right, every call
counted, and none may be stuck. Wild proxies have all handlers, clients that reset, connections that the API closes and a server that
dies: there no reply may be another call's. All of them get new plans and reloads all the time.
"""

import asyncio
import collections
import hashlib
import http.client
import json
import os
import random
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STUCK = 20  # seconds after which a call of a calm proxy is stuck
PATIENCE = 0.5  # seconds that a client of a wild proxy waits
CLIENTS = 4  # of each proxy
FDS_APART = 64  # descriptors beside those of connections
GROWTH = 48 << 20  # bytes that the daemon may grow after the first third
MIXES = {
    "calm": ["dummy", "delay", "30:delay", "0.5:delay"],
    "wild": ["dummy", "delay", "error", "hang", "20:error,20:delay", "5:blackout,5:hang,10:error", "50:error", "blackout"],
}


class Failure(Exception):
    pass


def seconds(text):
    units = {"s": 1, "m": 60, "h": 3600}
    return float(text[:-1]) * units[text[-1]] if text[-1] in units else float(text)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def value(key):
    """The value of a key: binary, of any size up to 40,000 bytes, and no other key's."""
    seeded = random.Random(key)
    return f"<{key}>".encode() + seeded.randbytes(seeded.choice([0, 3, 100, 5000, 40_000])) + b"\r\nEND\r\n"


class World:
    """The servers, the daemon, and what is expected of it."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.processes = []
        self.ports = {name: free_port() for name in ("redis", "mortal", "memcached", "nginx", "api")}
        backends = {"redis": "redis", "memcache": "memcached", "http": "nginx", "tcp": "redis"}
        self.proxies = {f"calm-{name}": (name, self.ports[backend], free_port()) for name, backend in backends.items()}
        backends["redis"] = "mortal"
        del backends["tcp"]
        self.proxies |= {f"wild-{name}": (name, self.ports[backend], free_port()) for name, backend in backends.items()}
        self.calls = collections.Counter()  # made through calm proxies
        self.connections = collections.Counter()
        self.done = collections.Counter()  # replies that were right
        self.ends = collections.Counter()  # how connections of wild proxies ended
        self.happened = collections.Counter()
        self.files = {}
        self.over = False

    def start(self, *command):
        log = open(self.folder / f"{Path(command[0]).name}.log", "ab")
        process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log)
        self.processes.append(process)
        return process

    def start_redis(self, name):
        return self.start("redis-server", "--port", str(self.ports[name]), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder))

    def start_servers(self):
        self.start_redis("redis")
        self.mortal = self.start_redis("mortal")
        user = ["-u", "root"] if os.geteuid() == 0 else []
        self.start("memcached", "-l", "127.0.0.1", "-p", str(self.ports["memcached"]), "-U", "0", *user)
        root = self.folder / "www"
        root.mkdir()
        for name, size in (("empty", 0), ("small", 100), ("middle", 50_000), ("large", 700_000)):
            content = random.randbytes(size)
            (root / name).write_bytes(content)
            self.files[name] = hashlib.sha256(content).hexdigest()
        self.folder.chmod(0o755)
        (self.folder / "nginx.conf").write_text(
            f"daemon off; pid nginx.pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path b; proxy_temp_path p;"
            f" fastcgi_temp_path f; uwsgi_temp_path u; scgi_temp_path s; keepalive_requests 1000000; keepalive_timeout 1h;"
            f" server {{ listen 127.0.0.1:{self.ports['nginx']}; root www; }} }}\n"
        )
        self.start("nginx", "-p", str(self.folder), "-c", "nginx.conf", "-e", "stderr")

    def write_config(self):
        lines = ['events = "events.jsonl"', "[http]", "enabled = true", f"port = {self.ports['api']}"]
        for name, (protocol, backend, port) in self.proxies.items():
            lines += [
                f"[proxies.{name}]",
                f'proxy = "127.0.0.1:{port}"',
                f'backend = "127.0.0.1:{backend}"',
                f'protocol = "{protocol}"',
                f'handler = "{random.choice(MIXES[name[:4]])}"',
                f"[proxies.{name}.handlers.delay]",
                f"sleep = {random.choice([0, 0.001, 0.02])}",
                f"before = {random.choice(['true', 'false'])}",
            ]
        # In one step, as the daemon may read it at any time.
        (self.folder / "new.toml").write_text("\n".join(lines) + "\n")
        (self.folder / "new.toml").rename(self.folder / "vaurien.toml")

    async def start_vaurien(self, program):
        self.write_config()
        self.vaurien = self.start(program, "--config", "vaurien.toml")
        for port in [*self.ports.values(), *(port for _, _, port in self.proxies.values())]:
            await self.listens(port)

    async def listens(self, port):
        for _ in range(600):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                return
            except OSError:
                await asyncio.sleep(0.05)
        raise Failure(f"nothing listens on port {port}")

    async def api(self, method, path, body=None):
        def call():
            connection = http.client.HTTPConnection("127.0.0.1", self.ports["api"], timeout=STUCK)
            try:
                connection.request(method, path, body and json.dumps(body), {"Content-Type": "application/json"} if body else {})
                response = connection.getresponse()
                return response.status, response.read()
            finally:
                connection.close()

        return await asyncio.to_thread(call)

    async def status(self):
        _, body = await self.api("GET", "/v1/proxies")
        return {name: proxy["status"] for name, proxy in json.loads(body)["proxies"].items()}

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.vaurien.pid}/fd"))

    def memory(self):
        fields = Path(f"/proc/{self.vaurien.pid}/statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")


# Any reply of a server: in a wrong place it is another call's.
REPLY = re.compile(rb"(\+OK|\$\d+|VALUE \w+ 0 \d+|STORED|END|MN)\r\n")


# What clients say: each writes a pipeline at once, reads its replies and compares them. It returns how many calls it made.


def command(*words):
    words = [word if isinstance(word, bytes) else word.encode() for word in words]
    return b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words)


def expect(got, wanted, what):
    if got != wanted:
        raise Failure(f"{what}: {got[:80]!r} instead of {wanted[:80]!r}")


async def line(reader, wanted, what):
    got = await reader.readuntil(b"\n")
    if got != wanted and not REPLY.fullmatch(got):
        raise NotTheProtocol(got)
    expect(got, wanted, what)


async def block(reader, head, wanted, what):
    """A line that announces a value, which is compared with the one of its key."""
    await line(reader, head, what)
    expect(await reader.readexactly(len(wanted) + 2), wanted + b"\r\n", what)


class NotTheProtocol(Exception):
    """An injected error."""


async def talk_redis(world, reader, writer, calm):
    keys = [f"key{random.randrange(500)}" for _ in range(random.randint(1, 20))]
    writer.write(b"".join(command("SET", key, value(key)) + command("GET", key) for key in keys))
    await writer.drain()
    for key in keys:
        await line(reader, b"+OK\r\n", f"SET {key}")
        await block(reader, b"$%d\r\n" % len(value(key)), value(key), f"GET {key}")
    return 2 * len(keys)


async def talk_memcache(world, reader, writer, calm):
    requests, replies = [], []
    for at in range(random.randint(1, 10)):
        key = f"key{random.randrange(500)}"
        data = value(key)
        # Where it may fail there has to be a reply that shows it.
        say = random.choice([b"", b" noreply"]) if calm else b""
        requests.append(b"set %s 0 0 %d%s\r\n%s\r\n" % (key.encode(), len(data), say, data))
        replies += [] if say else [line(reader, b"STORED\r\n", f"set {key}")]
        requests.append(b"get %s\r\n" % key.encode())
        replies.append(block(reader, b"VALUE %s 0 %d\r\n" % (key.encode(), len(data)), data, f"get {key}"))
        replies.append(line(reader, b"END\r\n", f"get {key}"))
        requests.append(b"mg none%d v k q\r\n" % at)
        requests.append(b"mn\r\n")
        replies.append(line(reader, b"MN\r\n", "mn"))
    writer.write(b"".join(requests))
    try:
        await writer.drain()
        while replies:
            await replies.pop(0)
    finally:
        for reply in replies:
            reply.close()
    return len(requests)


async def talk_http(world, reader, writer, calm):
    names = [(random.choice(["GET", "HEAD"]), random.choice(list(world.files))) for _ in range(random.randint(1, 6))]
    writer.write(b"".join(f"{method} /{name} HTTP/1.1\r\nHost: a\r\n\r\n".encode() for method, name in names))
    await writer.drain()
    for method, name in names:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        fields = dict(field.lower().split(": ", 1) for field in head.split("\r\n")[1:] if field)
        body = await reader.readexactly(int(fields["content-length"])) if method == "GET" else b""
        if head.startswith("HTTP/1.1 50") and b"vaurien" in body + head.encode() or head.startswith("HTTP/1.1 50") and method == "HEAD":
            raise NotTheProtocol(head)
        expect(head.split("\r\n")[0], "HTTP/1.1 200 OK", name)
        if method == "GET":
            expect(hashlib.sha256(body).hexdigest(), world.files[name], name)
    return len(names)


TALKS = {"redis": talk_redis, "tcp": talk_redis, "memcache": talk_memcache, "http": talk_http}


async def calm_client(world, name):
    protocol, _, port = world.proxies[name]
    while not world.over:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        world.connections[name] += 1
        for _ in range(random.randint(1, 20)):
            try:
                calls = await asyncio.wait_for(TALKS[protocol](world, reader, writer, calm=True), STUCK)
            except asyncio.TimeoutError:
                raise Failure(f"a call through {name} is stuck") from None
            except (OSError, asyncio.IncompleteReadError, NotTheProtocol) as error:
                raise Failure(f"{name}: {error!r}") from error
            world.calls[name] += calls
            world.done[name] += calls
        if random.random() < 0.5:
            writer.write_eof()
            rest = await asyncio.wait_for(reader.read(), STUCK)
            expect(rest, b"", f"{name}, after the end")
        writer.close()


async def wild_client(world, name):
    protocol, _, port = world.proxies[name]
    while not world.over:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 20)
        except OSError:
            world.ends["refused"] += 1
            await asyncio.sleep(0.02)
            continue
        if random.random() < 0.3:
            # Closing it is a reset.
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        try:
            for _ in range(random.randint(1, 10)):
                patience = random.choice([0.001, 0.02, PATIENCE, PATIENCE])
                world.done[name] += await asyncio.wait_for(TALKS[protocol](world, reader, writer, calm=False), patience)
            world.ends["in order"] += 1
        except asyncio.TimeoutError:
            world.ends["gave up"] += 1
        except (OSError, asyncio.IncompleteReadError):
            world.ends["closed or reset"] += 1
        except (NotTheProtocol, asyncio.LimitOverrunError, UnicodeDecodeError):
            world.ends["answered with an error"] += 1
        finally:
            writer.close()


# What happens meanwhile.


async def change_plans(world):
    while not world.over:
        name = random.choice(list(world.proxies))
        delay = {"sleep": random.choice([0, 0.001, 0.01, 0.05]), "before": random.random() < 0.5}
        body = {"handler": random.choice(MIXES[name[:4]]), "handlers": {"delay": delay}}
        if random.random() < 0.3:
            body["for"] = "300ms"
        status, text = await world.api("PATCH", f"/v1/proxies/{name}", body)
        if status != 200:
            raise Failure(f"PATCH {name} {body}: {status} {text}")
        world.happened["plan changes"] += 1
        await asyncio.sleep(0.05)


async def reload(world):
    while not world.over:
        await asyncio.sleep(1)
        world.write_config()
        world.vaurien.send_signal(signal.SIGHUP)
        world.happened["reloads"] += 1


async def kill_server(world):
    while not world.over:
        await asyncio.sleep(random.uniform(1, 4))
        world.mortal.kill()
        world.mortal.wait()
        await asyncio.sleep(random.uniform(0, 0.5))
        world.processes.remove(world.mortal)
        world.mortal = world.start_redis("mortal")
        world.happened["servers killed"] += 1


async def kill_connections(world):
    while not world.over:
        await asyncio.sleep(0.3)
        name = random.choice([name for name in world.proxies if name.startswith("wild")])
        _, body = await world.api("GET", f"/v1/proxies/{name}/connections")
        for connection in json.loads(body)["connections"][:1]:
            how = random.choice(["", "?reset=true"])
            await world.api("DELETE", f"/v1/proxies/{name}/connections/{connection['id']}{how}")
            world.happened["connections killed"] += 1


async def watch(world):
    """Descriptors and memory, for as long as it lasts."""
    most_fds, first_memory, begun = 0, None, time.monotonic()
    limit = 2 * CLIENTS * len(world.proxies) * 2 + FDS_APART
    while not world.over:
        await asyncio.sleep(1)
        if world.vaurien.poll() is not None:
            raise Failure(f"vaurien ended with {world.vaurien.returncode}")
        fds, memory = world.descriptors(), world.memory()
        most_fds = max(most_fds, fds)
        if fds > limit:
            raise Failure(f"{fds} descriptors, more than {limit}")
        if time.monotonic() - begun > world.length / 3:
            first_memory = first_memory or memory
            if memory > first_memory + GROWTH:
                raise Failure(f"{memory >> 20} MiB, after {first_memory >> 20} MiB in the first third")
    first = first_memory or world.memory()
    print(f"descriptors: at most {most_fds}; memory: {first >> 20} MiB after a third, {world.memory() >> 20} MiB at the end")


async def end(world):
    """Lets clients finish."""
    await asyncio.sleep(world.length)
    world.over = True


async def check_rest(world, fds):
    """What is left when all clients have gone, and whether counters say what happened."""
    for name in world.proxies:
        await world.api("PATCH", f"/v1/proxies/{name}", {"handler": "dummy"})
    for _ in range(100):
        status = await world.status()
        left = {name: proxy["connections"]["open"] for name, proxy in status.items() if proxy["connections"]["open"]}
        if not left and world.descriptors() <= fds + 8:
            break
        await asyncio.sleep(0.1)
    else:
        raise Failure(f"connections that are still open: {left}; {world.descriptors()} descriptors, {fds} at first")
    for name, proxy in status.items():
        if name.startswith("calm"):
            expect([proxy["connections"]["opaque"], proxy["backend_failures"]], [0, 0], f"{name}: opaque, dial failures")
            expect([proxy["connections"]["total"]], [world.connections[name]], f"{name}: connections")
            # A call of `tcp` is a turn, and the number of turns varies.
            if name != "calm-tcp":
                expect([sum(proxy["calls"].values())], [world.calls[name]], f"{name}: calls")
        if not world.done[name]:
            raise Failure(f"no call through {name} was ever right")
    world.vaurien.send_signal(signal.SIGTERM)
    if world.vaurien.wait(STUCK) != 0:
        raise Failure(f"vaurien ended with {world.vaurien.returncode}")
    events = collections.Counter()
    for event in map(json.loads, (world.folder / "events.jsonl").read_text().splitlines()):
        if event["event"] == "lost":
            raise Failure(f"{event['count']} events were lost")
        if event["event"] == "fault":
            events[event["proxy"], event["handler"]] += 1
    counted = {(name, handler): faults for name, proxy in status.items() for handler, faults in proxy["faults"].items() if faults}
    if counted != dict(events):
        raise Failure(f"faults: counters say {counted}, events {dict(events)}")
    return status, sum(events.values())


async def soak(world):
    world.start_servers()
    await world.start_vaurien(str(Path(os.environ["VAURIEN"]).resolve()))
    # Those that asked whether it listens.
    for name, status in (await world.status()).items():
        world.connections[name] = status["connections"]["total"]
    fds = world.descriptors()
    clients = {"calm": calm_client, "wild": wild_client}
    try:
        await asyncio.gather(
            *(clients[name[:4]](world, name) for name in world.proxies for _ in range(CLIENTS)),
            change_plans(world), reload(world), kill_server(world), kill_connections(world), watch(world), end(world),
        )
    finally:
        world.over = True  # also for those that miss that they are cancelled
    status, faults = await check_rest(world, fds)
    for name, proxy in status.items():
        print(f"{name}: {world.done[name]} replies right, {proxy['connections']['total']} connections, "
              f"{sum(proxy['calls'].values())} calls, {sum(proxy['faults'].values())} faults")
    print(f"{faults} faults in counters and events; " + ", ".join(f"{n} {what}" for what, n in world.happened.items()))
    print("wild connections: " + ", ".join(f"{n} {how}" for how, n in world.ends.most_common()))


def main():
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        world = World(folder)
        world.length = seconds(os.environ.get("SOAK", "1h"))
        seed = int(os.environ.get("SEED", time.time_ns() % 1_000_000))
        random.seed(seed)
        print(f"soak of {world.length:.0f} s, SEED={seed}", flush=True)
        try:
            asyncio.run(soak(world))
        except Failure as failure:
            log = (world.folder / f"{Path(os.environ['VAURIEN']).name}.log").read_text().splitlines()
            sys.exit("\n".join(["FAILED: " + str(failure), "the last lines of vaurien's log:", *log[-20:]]))
        finally:
            for process in world.processes:
                process.terminate()
            for process in world.processes:
                process.wait()
    print("passed")


if __name__ == "__main__":
    main()

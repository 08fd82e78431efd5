"""The pytest plugin: the fixtures `vaurien`, `async_vaurien` and `chaos_seed`, the marker `chaos`, and what failures tell about
faults.

@pytest.mark.chaos("20:error(kind=loading)")
def test_cart(vaurien):
    proxy = vaurien("localhost:6379", protocol="redis")
    ...
"""

from __future__ import annotations

import argparse
import difflib
import os
import re
import secrets
import shlex
import warnings
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Union

import pytest

from ._api import Api, number_of
from ._http import Endpoint
from ._program import Option
from .aio import AsyncProxy
from .errors import VaurienError, VaurienWarning
from .proxy import Proxy

# The most faults that a failure lists of each proxy.
SHOWN = 20

# The most bytes of a label.
LABEL = 255

MARKER = (
    "chaos(*faults, seed=None): the proxies that the test makes with the fixture `vaurien` or `async_vaurien` have these faults: "
    "handlers (`10:error`) and rules (`GET user:* => error`)"
)

# Seeds are whole numbers below this, short enough to be typed.
SEEDS = 2**32

# A rule has one, outside of quotes. Arrows that are wrong are told by those who read rules.
ARROW = re.compile("[=-]+>|[→⇒⟶⟹➔]")
QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')


@dataclass(frozen=True)
class Chaos:
    """What the markers of a test ask for together."""

    handler: str | None
    rules: Sequence[str]
    seed: int | None

    @classmethod
    def of(cls, node: pytest.Item) -> Chaos:
        """The nearest handler and seed, and all rules, the nearest first. Raises `UsageError` for a mistake."""
        markers = [_read(marker, node.nodeid) for marker in node.iter_markers("chaos")]
        handlers = [chaos.handler for chaos in markers if chaos.handler is not None]
        seeds = [chaos.seed for chaos in markers if chaos.seed is not None]
        rules = [rule for chaos in markers for rule in chaos.rules]
        return cls(handlers[0] if handlers else None, rules, seeds[0] if seeds else None)


def _read(marker: pytest.Mark, name: str) -> Chaos:
    def mistake(what: str) -> pytest.UsageError:
        return pytest.UsageError(f"{name}: marker `chaos`: {what}")

    for key in marker.kwargs:
        if key != "seed":
            like = ", did you mean `seed`?" if difflib.get_close_matches(key, ["seed"]) else ": it has `seed`"
            raise mistake(f"unknown keyword `{key}`{like}")
    for fault in marker.args:
        if not isinstance(fault, str):
            raise mistake(f"`{fault!r}` is not a text")
    seed = marker.kwargs.get("seed")
    if seed is not None and (type(seed) is not int or seed < 0):
        raise mistake(f"seed: `{seed!r}` is not a whole number from 0 up")
    rules = [fault for fault in marker.args if ARROW.search(QUOTED.sub("", fault))]
    handlers = [fault for fault in marker.args if fault not in rules]
    if len(handlers) > 1:
        raise mistake(f"it takes one handler or mix and any rules, not {len(handlers)} handlers")
    return Chaos(handlers[0] if handlers else None, rules, seed)


class _Proxies:
    """The proxies of one test."""

    def __init__(self, node: pytest.Item, seed: int) -> None:
        self.seed = seed
        """The seed of the test, also as the fixture `chaos_seed`."""
        self._chaos = Chaos.of(node)
        self._label = _label(node.nodeid)

    def _given(self, options: dict[str, Any]) -> dict[str, Any]:
        return {
            **options,
            "handler": options["handler"] or self._chaos.handler or "dummy",
            "rules": [*self._chaos.rules, *options["rules"]],
            "seed": self.seed if options["seed"] is None else options["seed"],
        }


class Factory(_Proxies):
    """The fixture `vaurien`: each call starts a proxy, which ends with the test."""

    def __init__(self, node: pytest.Item, seed: int) -> None:
        super().__init__(node, seed)
        self.proxies: list[Proxy] = []
        """The proxies that were started."""

    def __call__(
        self,
        backend: str,
        *,
        protocol: str = "tcp",
        handler: str | None = None,
        rules: Sequence[str] = (),
        toxics: Sequence[str] = (),
        seed: int | None = None,
        expect: Sequence[str] = (),
        allow_no_calls: bool = False,
        listen: str = "127.0.0.1:0",
        program: str | None = None,
        **options: Option,
    ) -> Proxy:
        """A proxy in front of `backend`, as `vaurien.Proxy` makes it.

        The marker `chaos` gives its handler, unless it is given here, and rules that come before those given here. Its seed is
        that of the test, and the label of its events the test's name.
        """
        proxy = Proxy(
            backend,
            protocol=protocol,
            toxics=toxics,
            expect=expect,
            allow_no_calls=allow_no_calls,
            listen=listen,
            program=program,
            **self._given({"handler": handler, "rules": rules, "seed": seed, **options}),
        ).start()
        self.proxies.append(proxy)
        proxy.label(self._label)
        return proxy


class AsyncFactory(_Proxies):
    """The fixture `async_vaurien`: each call, which is awaited, starts a proxy, which ends with the test."""

    def __init__(self, node: pytest.Item, seed: int) -> None:
        super().__init__(node, seed)
        self.proxies: list[AsyncProxy] = []
        """The proxies that were started."""

    async def __call__(
        self,
        backend: str,
        *,
        protocol: str = "tcp",
        handler: str | None = None,
        rules: Sequence[str] = (),
        toxics: Sequence[str] = (),
        seed: int | None = None,
        expect: Sequence[str] = (),
        allow_no_calls: bool = False,
        listen: str = "127.0.0.1:0",
        program: str | None = None,
        **options: Option,
    ) -> AsyncProxy:
        """A proxy in front of `backend`, see `Factory`."""
        proxy = await AsyncProxy(
            backend,
            protocol=protocol,
            toxics=toxics,
            expect=expect,
            allow_no_calls=allow_no_calls,
            listen=listen,
            program=program,
            **self._given({"handler": handler, "rules": rules, "seed": seed, **options}),
        ).start()
        self.proxies.append(proxy)
        await proxy.label(self._label)
        return proxy


AnyFactory = Union[Factory, AsyncFactory]

SEED = pytest.StashKey[int]()
FACTORIES = pytest.StashKey[list[AnyFactory]]()
PASSED = pytest.StashKey[bool]()
INTERRUPTED = pytest.StashKey[list[str]]()
DAEMON = pytest.StashKey[Endpoint]()


@pytest.fixture
def chaos_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the test, for its proxies and for random choices of its own.

    It is that of the marker `chaos`, else that of `--chaos-seed`. With `--chaos-repeat`, each run has the next one.
    """
    seed = _first_seed(request.node) + int(getattr(request, "param", 0))
    request.node.stash[SEED] = seed
    request.node.user_properties.append(("chaos_seed", seed))
    return seed


@pytest.fixture
def vaurien(request: pytest.FixtureRequest, chaos_seed: int) -> Iterator[Factory]:
    """Starts proxies that end with the test: `proxy = vaurien("localhost:6379", protocol="redis")`.

    Calls take the arguments of `vaurien.Proxy`. If the test passes although a proxy with faults had no calls, or what the
    proxy was told to `expect` is not met, it is an error.
    """
    factory = Factory(request.node, chaos_seed)
    with _ends_with(request.node, factory):
        yield factory


@pytest.fixture
def async_vaurien(request: pytest.FixtureRequest, chaos_seed: int) -> Iterator[AsyncFactory]:
    """Starts proxies for asyncio that end with the test: `proxy = await async_vaurien("localhost:6379", protocol="redis")`.

    It is as the fixture `vaurien` otherwise, and works with any plugin that runs tests in a loop.
    """
    factory = AsyncFactory(request.node, chaos_seed)
    with _ends_with(request.node, factory):
        yield factory


@contextmanager
def _ends_with(node: pytest.Item, factory: AnyFactory) -> Iterator[None]:
    """Stops the proxies at the end of the test. Raises what they say about one that has passed."""
    node.stash.setdefault(FACTORIES, []).append(factory)
    yield
    for proxy in factory.proxies:
        proxy._stop()
    faults = sum(proxy._last.faults_of() for proxy in factory.proxies if proxy._last)
    node.user_properties.append(("chaos_faults", faults))
    errors = []
    for proxy in factory.proxies if node.stash.get(PASSED, False) else ():
        try:
            proxy._check()
        except (VaurienError, VaurienWarning) as error:
            errors.append(error)
    if errors:
        raise errors[0]


def _first_seed(node: pytest.Item) -> int:
    seed = Chaos.of(node).seed
    return int(node.config.option.chaos_seed) if seed is None else seed


def _at_least(least: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and int(text) >= least):
            raise argparse.ArgumentTypeError(f"`{text}` is not a whole number from {least} up")
        return int(text)

    return parse


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("vaurien", "faults injected by vaurien")
    seed = "seed of the proxies; default: VAURIEN_SEED, else random"
    group.addoption("--chaos-seed", type=_at_least(0), metavar="N", help=seed)
    repeat = "run each chaos test N times, each with the next seed"
    group.addoption("--chaos-repeat", type=_at_least(1), default=1, metavar="N", help=repeat)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    worker = getattr(config, "workerinput", {})
    if config.option.chaos_seed is None:
        given = worker.get("chaos_seed") or os.environ.get("VAURIEN_SEED")
        try:
            config.option.chaos_seed = _at_least(0)(given) if given else secrets.randbelow(SEEDS)
        except argparse.ArgumentTypeError as error:
            raise pytest.UsageError(f"VAURIEN_SEED: {error}") from None
    # There is one label at a time, for all clients.
    if (daemon := _daemon()) and worker.get("workercount", 1) == 1:
        config.stash[DAEMON] = daemon


def _daemon() -> Endpoint | None:
    """The API of a vaurien that runs this pytest, `vaurien --http … -- pytest`."""
    address = os.environ.get("VAURIEN_HTTP", "")
    if f"VAURIEN_HTTP={address}" not in os.environ.get("VAURIEN_GIVEN", "").split(" "):
        return None
    return Endpoint.parse(address, os.environ.get("VAURIEN_HTTP_TOKEN"))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The workers of pytest-xdist have the seed of the process that starts them."""
    node.workerinput["chaos_seed"] = str(node.config.option.chaos_seed)


def pytest_report_header(config: pytest.Config) -> list[str]:
    lines = [f"vaurien: {_options(config)}"]
    if daemon := config.stash.get(DAEMON, None):
        several = len(getattr(config.option, "tx", None) or ()) > 1
        which = "no test labels its calls there, since there are several workers" if several else "tests label their calls there"
        lines.append(f"vaurien: HTTP API on http://{daemon.authority}, {which}")
    return lines


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    repeat = metafunc.config.option.chaos_repeat
    marker = metafunc.definition.get_closest_marker("chaos")
    if repeat > 1 and (marker or "chaos_seed" in metafunc.fixturenames):
        try:
            first = _first_seed(metafunc.definition)
        except pytest.UsageError:
            # It is told once all tests are known.
            return
        if "chaos_seed" not in metafunc.fixturenames:
            metafunc.fixturenames.append("chaos_seed")
        ids = [f"seed{first + run}" for run in range(repeat)]
        metafunc.parametrize("chaos_seed", range(repeat), indirect=True, ids=ids)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    # A worker of pytest-xdist cannot end the run: there the tests themselves fail.
    for item in () if hasattr(config, "workerinput") else items:
        Chaos.of(item)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    if daemon := item.config.stash.get(DAEMON, None):
        # That it does not answer is told at the beginning of a test.
        with suppress(VaurienError):
            daemon.run(Api("").label(None))
    if outcome.excinfo and issubclass(outcome.excinfo[0], (KeyboardInterrupt, pytest.exit.Exception)) and SEED in item.stash:
        # The proxies still run: pytest ends the fixtures later.
        item.config.stash[INTERRUPTED] = [f"interrupted: {item.nodeid}", *_told(item)]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    if daemon := item.config.stash.get(DAEMON, None):
        try:
            daemon.run(Api("").label(_label(item.nodeid)))
        except VaurienError as error:
            warnings.warn(f"the calls of this test have no label: {error}", VaurienWarning, stacklevel=1)


def _label(name: str) -> str:
    # Of a name that is too long for a label, the end tells more.
    return name.encode()[-LABEL:].decode(errors="ignore")


@pytest.hookimpl(trylast=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """After a test that has passed."""
    chaos = Chaos.of(item)
    if (chaos.handler or chaos.rules) and not any(factory.proxies for factory in item.stash.get(FACTORIES, [])):
        pytest.fail(
            "the marker `chaos` has given its faults to no proxy: make it with the fixture `vaurien` or `async_vaurien`",
            pytrace=False,
        )


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    report = (yield).get_result()
    if report.when == "call":
        item.stash[PASSED] = report.passed
    if report.failed and report.when != "teardown" and SEED in item.stash:
        told = "\n".join(_told(item))
        report.sections.append(("vaurien", told))
        # JUnit's XML has no sections.
        item.user_properties.append(("vaurien", told))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if told := config.stash.get(INTERRUPTED, None):
        terminalreporter.section("vaurien")
        for line in told:
            terminalreporter.write_line(line)


def _options(config: pytest.Config) -> str:
    """The options that repeat this run."""
    repeat = config.option.chaos_repeat
    return f"--chaos-seed {config.option.chaos_seed}" + (f" --chaos-repeat {repeat}" if repeat > 1 else "")


def _told(item: pytest.Item) -> Iterator[str]:
    """What a failure says: the seed, how to repeat it, and the faults that the test met."""
    # Names of tests are relative to the root, and the line is for where pytest was started.
    name = os.path.relpath(item.path, item.config.invocation_params.dir) + "".join(item.nodeid.partition("::")[1:])
    yield f"seed {item.stash[SEED]}, again: pytest {_options(item.config)} {shlex.quote(name)}"
    for proxy in [proxy for factory in item.stash.get(FACTORIES, []) for proxy in factory.proxies]:
        try:
            endpoint = proxy._where()
            counts, events = endpoint.run(proxy._api.counts()), endpoint.run(proxy._api.events(0))
        except VaurienError as error:
            yield f"{proxy.url}: {proxy._explained(error)}"
            continue
        faults = [event for event in events if event.event == "fault"]
        yield f"{proxy.url}: {number_of(sum(counts.calls.values()), 'call')}, {number_of(counts.faults_of(), 'fault')}"
        yield from (f"  {fault}" for fault in faults[-SHOWN:])
        if len(faults) > SHOWN:
            yield f"  the last {SHOWN} of {len(faults)} faults"

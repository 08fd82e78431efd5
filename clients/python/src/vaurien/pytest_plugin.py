"""The pytest plugin: the fixtures `vaurien` and `chaos_seed`, the marker `chaos`, and what failures tell about faults.

@pytest.mark.chaos("20:error(kind=loading)")
def test_cart(vaurien):
    proxy = vaurien("localhost:6379", protocol="redis")
    ...
"""

from __future__ import annotations

import os
import secrets
import shlex
from collections.abc import Generator, Iterator, Sequence
from typing import Any

import pytest

from ._program import Option
from .errors import VaurienError
from .proxy import Proxy

# The most faults that a failure lists of each proxy.
SHOWN = 20

# The most bytes of a label.
LABEL = 255

MARKER = (
    "chaos(*faults, seed=None): the proxies that the test makes with the fixture `vaurien` have these faults: "
    "handlers (`10:error`) and rules (`GET user:* => error`)"
)

# Seeds are whole numbers below this, short enough to be typed.
SEEDS = 2**32


class Factory:
    """The fixture `vaurien`: each call starts a proxy, which ends with the test."""

    def __init__(self, name: str, seed: int, faults: Sequence[str]) -> None:
        self.seed = seed
        """The seed of the test, also as the fixture `chaos_seed`."""
        self.proxies: list[Proxy] = []
        """The proxies that were started."""
        self._name = name
        self._rules = [fault for fault in faults if "=>" in fault]
        handlers = [fault for fault in faults if "=>" not in fault]
        if len(handlers) > 1:
            raise pytest.UsageError(f"{name}: `chaos` takes one handler or mix and any rules, not {len(handlers)} handlers")
        self._handler = handlers[0] if handlers else None

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
            handler=handler or self._handler or "dummy",
            rules=[*self._rules, *rules],
            toxics=toxics,
            seed=self.seed if seed is None else seed,
            expect=expect,
            allow_no_calls=allow_no_calls,
            listen=listen,
            program=program,
            **options,
        ).start()
        self.proxies.append(proxy)
        # Of a name that is too long for a label, the end tells more.
        proxy.label(self._name.encode()[-LABEL:].decode(errors="ignore"))
        return proxy

    def close(self) -> list[VaurienError]:
        """Stops all proxies, and returns what `Proxy.close` raised."""
        errors = []
        for proxy in self.proxies:
            try:
                proxy.close()
            except VaurienError as error:
                errors.append(error)
        return errors


FACTORY = pytest.StashKey[Factory]()
PASSED = pytest.StashKey[bool]()


@pytest.fixture
def chaos_seed(request: pytest.FixtureRequest) -> int:
    """The seed of the test, for its proxies and for random choices of its own.

    It is that of the marker `chaos`, else that of `--chaos-seed`. With `--chaos-repeat`, each run has the next one.
    """
    return _first_seed(request.config, request.node.get_closest_marker("chaos")) + int(getattr(request, "param", 0))


@pytest.fixture
def vaurien(request: pytest.FixtureRequest, chaos_seed: int) -> Iterator[Factory]:
    """Starts proxies that end with the test: `proxy = vaurien("localhost:6379", protocol="redis")`.

    Calls take the arguments of `vaurien.Proxy`. If the test passes although a proxy with faults had no calls, or what the
    proxy was told to `expect` is not met, it is an error.
    """
    node = request.node
    factory = Factory(node.nodeid, chaos_seed, marker.args if (marker := node.get_closest_marker("chaos")) else ())
    node.stash[FACTORY] = factory
    yield factory
    errors = factory.close()
    if errors and node.stash.get(PASSED, False):
        raise errors[0]


def _first_seed(config: pytest.Config, marker: pytest.Mark | None) -> int:
    seed = marker.kwargs.get("seed") if marker else None
    return int(config.option.chaos_seed if seed is None else seed)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("vaurien", "faults injected by vaurien")
    group.addoption("--chaos-seed", type=int, metavar="N", help="seed of the proxies; default: VAURIEN_SEED, else random")
    group.addoption(
        "--chaos-repeat", type=int, default=1, metavar="N", help="run each chaos test N times, each with the next seed"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARKER)
    if config.option.chaos_seed is None:
        given = getattr(config, "workerinput", {}).get("chaos_seed", os.environ.get("VAURIEN_SEED"))
        config.option.chaos_seed = int(given) if given else secrets.randbelow(SEEDS)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """The workers of pytest-xdist have the seed of the process that starts them."""
    node.workerinput["chaos_seed"] = str(node.config.option.chaos_seed)


def pytest_report_header(config: pytest.Config) -> str:
    return f"vaurien: {_options(config)}"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    repeat = metafunc.config.option.chaos_repeat
    marker = metafunc.definition.get_closest_marker("chaos")
    if repeat > 1 and (marker or "chaos_seed" in metafunc.fixturenames):
        if "chaos_seed" not in metafunc.fixturenames:
            metafunc.fixturenames.append("chaos_seed")
        first = _first_seed(metafunc.config, marker)
        ids = [f"seed{first + run}" for run in range(repeat)]
        metafunc.parametrize("chaos_seed", range(repeat), indirect=True, ids=ids)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, None]:
    report = (yield).get_result()
    if report.when == "call":
        item.stash[PASSED] = report.passed
    factory = item.stash.get(FACTORY, None)
    if report.failed and report.when != "teardown" and factory:
        report.sections.append(("vaurien", "\n".join(_told(item, factory))))


def _options(config: pytest.Config) -> str:
    """The options that repeat this run."""
    repeat = config.option.chaos_repeat
    return f"--chaos-seed {config.option.chaos_seed}" + (f" --chaos-repeat {repeat}" if repeat > 1 else "")


def _told(item: pytest.Item, factory: Factory) -> Iterator[str]:
    """What a failure says: the seed, how to repeat it, and the faults that the test met."""
    yield f"seed {factory.seed}, again: pytest {_options(item.config)} {shlex.quote(item.nodeid)}"
    for proxy in factory.proxies:
        try:
            counts, events = proxy.counts(), proxy.events()
        except VaurienError as error:
            yield f"{proxy.url}: {error}"
            continue
        faults = [event for event in events if event.event == "fault"]
        yield f"{proxy.url}: {sum(counts.calls.values())} calls, {counts.faults_of('faults')} faults"
        yield from (f"  {fault}" for fault in faults[-SHOWN:])
        if len(faults) > SHOWN:
            yield f"  the last {SHOWN} of {len(faults)} faults"

"""What can be asked of a proxy, as requests and responses, without a socket: `Proxy` and `AsyncProxy` carry them out."""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Mapping
from typing import Any, Optional, TypeVar, Union
from urllib.parse import quote

from ._http import Request, Steps
from .errors import ApiError, ExpectationError, VaurienError
from .results import Calls, Connection, Counts, Event, Rule, Toxic

T = TypeVar("T")

# The beginning of a block: what the block gets, and the steps that take back what it changed, and tell if it did nothing.
Block = Steps[tuple[T, Steps[Optional[str]]]]

# Seconds, or a text with a unit: "250ms".
Duration = Union[float, str]

# A text, or the keys of a table: {"match": {"command": "SET"}, "handler": "error"}.
RuleLike = Union[str, Mapping[str, object]]

# A text, or keys: {"type": "latency", "attributes": {"latency": "100ms"}, "toxicity": 0.5}.
ToxicLike = Union[str, Mapping[str, object]]

# Longer than any block.
LONG = "24h"


class Api:
    """The requests about one proxy."""

    def __init__(self, proxy: str) -> None:
        self.proxy = proxy
        self.path = "/v1/proxies/" + quote(proxy, safe="")
        # Of handlers and rules that there are, or were as long as this knows the proxy: those without calls leave no count.
        self._names: set[str] = set()

    def settings(self) -> Steps[dict[str, Any]]:
        return self._known((yield Request("GET", self.path)))

    def change(self, **keys: object) -> Steps[dict[str, Any]]:
        return self._known((yield Request("PATCH", self.path, keys)))

    def _known(self, settings: dict[str, Any]) -> dict[str, Any]:
        for name in settings["status"]["calls"]:
            self._names.update([name, *name.split(".")])
        return settings

    def handler(self) -> Steps[str]:
        return str((yield from self.settings())["handler"])

    # Blocks.

    def fault_for_block(self, handler: str) -> Block[None]:
        before = yield from self.settings()
        _, end = yield from self._temporarily(before, "handler", handler)
        return None, self._end_of_fault(handler, _of_mix(before), end)

    def _end_of_fault(self, handler: str, before: tuple[int, int], end: Steps[str | None]) -> Steps[str | None]:
        calls, faults = _of_mix((yield from self.settings()))
        yield from end
        if faults > before[1] or handler.strip() == "dummy":
            return None
        return f"`{handler}` injected no fault in its block: it had {number_of(calls - before[0], 'call')}"

    def down_for_block(self) -> Block[None]:
        return (yield from self._temporarily((yield from self.settings()), "enabled", False))

    def _temporarily(self, before: dict[str, Any], key: str, value: object) -> Block[None]:
        if (left := before["status"]["reverts_in"]) is not None:
            # What is there now is not what it would have to be set back to.
            raise VaurienError(f"proxy `{self.proxy}` has a temporary change, which reverts in {left:.1f} s")
        yield from self.change(**{key: value})
        return None, self._set_back(key, before[key])

    def _set_back(self, key: str, value: object) -> Steps[str | None]:
        yield from self.change(**{key: value})
        return None

    def rule_for_block(self, rule: RuleLike, name: str | None, before: str | None, place: str) -> Block[Rule]:
        if name is None and not _is_named(rule):
            names = {known.name for known in (yield from self.rules())}
            numbered = (f"{place}-{number}" for number in itertools.count(2))
            name = next(free for free in itertools.chain([place], numbered) if free not in names)
        # Only a temporary rule may take all calls of later rules, which it does here on purpose.
        added = yield from self.add_rule(rule, name, before, LONG)
        return added, self._unless_gone(self._end_of_rule(added.name))

    def _end_of_rule(self, name: str) -> Steps[str | None]:
        rule = yield from self.rule(name)
        yield from self.remove_rule(name)
        if rule.faults or re.search(r"=>\s*dummy$", rule.text):
            return None
        if rule.calls:
            return f"rule `{name}` injected no fault in its block: it had {number_of(rule.calls, 'call')}: {rule.text}"
        why = (
            f"took no call: `after`, `every` or `during` excluded {number_of(rule.excluded, 'call')}"
            if rule.excluded
            else "matched no call"
        )
        return f"rule `{name}` {why}: {rule.text}"

    def toxic_for_block(self, toxic: ToxicLike, name: str | None) -> Block[Toxic]:
        added = yield from self.add_toxic(toxic, name, None)
        return added, self._unless_gone(self._end_of_toxic(added.name))

    def _end_of_toxic(self, name: str) -> Steps[str | None]:
        toxic = yield from self.toxic(name)
        yield from self.remove_toxic(name)
        return None if toxic.faults else f"toxic `{name}` did nothing: {toxic.text}"

    @staticmethod
    def _unless_gone(steps: Steps[str | None]) -> Steps[str | None]:
        try:
            return (yield from steps)
        except ApiError as error:
            if error.status != 404:
                raise
            return None

    # Rules.

    def rules(self) -> Steps[list[Rule]]:
        return [Rule.of(rule) for rule in (yield Request("GET", f"{self.path}/rules"))["rules"]]

    def rule(self, name: str) -> Steps[Rule]:
        return Rule.of((yield Request("GET", self._rule(name))))

    def add_rule(self, rule: RuleLike, name: str | None, before: str | None, duration: Duration | None) -> Steps[Rule]:
        table = {"rule": rule} if isinstance(rule, str) else rule
        body = {**table, **given(name=name, before=before, **{"for": duration})}
        added = Rule.of((yield Request("POST", f"{self.path}/rules", body)))
        # Its handlers are known from now on.
        yield from self.settings()
        return added

    def remove_rule(self, name: str) -> Steps[None]:
        yield Request("DELETE", self._rule(name))

    def clear_rules(self) -> Steps[None]:
        yield from self.change(rules=[])

    def _rule(self, name: str) -> str:
        return f"{self.path}/rules/{quote(name, safe='')}"

    # Toxics.

    def toxics(self) -> Steps[list[Toxic]]:
        return [Toxic.of(toxic) for toxic in (yield Request("GET", f"{self.path}/toxics"))["toxics"]]

    def toxic(self, name: str) -> Steps[Toxic]:
        return Toxic.of((yield Request("GET", self._toxic(name))))

    def add_toxic(self, toxic: ToxicLike, name: str | None, duration: Duration | None) -> Steps[Toxic]:
        table = {"toxic": toxic} if isinstance(toxic, str) else toxic
        body = {**table, **given(name=name, **{"for": duration})}
        return Toxic.of((yield Request("POST", f"{self.path}/toxics", body)))

    def remove_toxic(self, name: str) -> Steps[None]:
        yield Request("DELETE", self._toxic(name))

    def clear_toxics(self) -> Steps[None]:
        yield Request("DELETE", f"{self.path}/toxics")

    def _toxic(self, name: str) -> str:
        return f"{self.path}/toxics/{quote(name, safe='')}"

    # What happened.

    def calls(self) -> Steps[list[Calls]]:
        return [Calls.of(calls) for calls in (yield Request("GET", f"{self.path}/calls"))["calls"]]

    def connections(self) -> Steps[list[Connection]]:
        response = yield Request("GET", f"{self.path}/connections")
        return [Connection.of(connection) for connection in response["connections"]]

    def events(self, since: int) -> Steps[list[Event]]:
        text = yield Request("GET", f"/v1/events?since={since}&follow=false")
        return [event for event in parse_events(text) if event.fields.get("proxy", self.proxy) == self.proxy]

    def counts(self) -> Steps[Counts]:
        settings = yield from self.settings()
        return Counts.of(settings, parse_toxics((yield Request("GET", "/metrics")), self.proxy))

    def assert_faults(self, counts: Counts, name: str, at_least: int | None, at_most: int | None) -> None:
        seen = counts.faults_of(name)
        if at_least is None and at_most is None:
            at_least = 1
        wanted = [f"at least {at_least}"] if at_least is not None else []
        wanted += [f"at most {at_most}"] if at_most is not None else []
        names = {*self._names, *counts.toxics, "faults"}
        if seen < (at_least or 0) or (at_most is not None and seen > at_most) or name not in names:
            unknown = ""
            if name not in names:
                like = "".join(f", did you mean `{one}`" for one in difflib.get_close_matches(name, names, 1))
                unknown = f"nothing is called `{name}`{like} (there are: {', '.join(sorted(names))}); "
            what = "faults" if name == "faults" else f"faults of `{name}`"
            calls, connections = sum(counts.calls.values()), counts.connections
            reasons = "; ".join(counts.handshake_reasons)
            no_tls = f"{counts.handshake_failures} got no TLS ({reasons}), " if reasons else ""
            raise ExpectationError(
                f"{what}: {' and '.join(wanted)} expected, {seen} seen; {unknown}"
                f"{number_of(calls, 'call')} on {number_of(connections, 'connection')}, {counts.opaque} of them opaque, "
                f"{number_of(counts.backend_failures, 'failure')} to reach the backend, {no_tls}faults: {dict(counts.faults)}"
            )

    def label(self, label: str | None) -> Steps[None]:
        yield Request("PUT", "/v1/label", {"label": label})


def _of_mix(settings: dict[str, Any]) -> tuple[int, int]:
    """The calls and the faults of the handlers that are in no rule."""
    calls, faults = (
        sum(count for name, count in settings["status"][counts].items() if "." not in name) for counts in ("calls", "faults")
    )
    return calls, faults


def _is_named(rule: RuleLike) -> bool:
    text = rule if isinstance(rule, str) else rule.get("rule", "")
    return "name" in rule if isinstance(rule, Mapping) and not text else bool(re.search(r"\sname=", f" {text}"))


def number_of(count: int, what: str) -> str:
    """`1 call`, `2 calls`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def given(**keys: object) -> dict[str, object]:
    """Those that are not None."""
    return {key: value for key, value in keys.items() if value is not None}


def parse_toxics(metrics: str, proxy: str) -> dict[str, int]:
    """The faults of each toxic that this proxy has or had."""
    faults = {}
    for labels, value in re.findall(r"^vaurien_toxic_faults_total\{(.*)\} (\d+)", metrics, re.MULTILINE):
        label = {
            name: re.sub(r"\\(.)", lambda escape: "\n" if escape[1] == "n" else escape[1], text)
            for name, text in re.findall(r'(\w+)="((?:\\.|[^"\\])*)"', labels)
        }
        if label["proxy"] == proxy:
            faults[label["toxic"]] = int(value)
    return faults


def parse_events(text: str) -> list[Event]:
    """The events of a stream of Server-Sent Events."""
    events = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "data" in fields:
            events.append(Event.of({"event": fields.get("event"), **json.loads(fields["data"])}))
    return events

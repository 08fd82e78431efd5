"""What a proxy says about itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True)
class Rule:
    """A rule, and what it did so far."""

    name: str
    """Its name: `rule-N` by its place unless it was given one."""
    text: str
    """The rule as it would be written: `GET user:* times=3 => error`."""
    calls: int
    """How many calls it has decided."""
    faults: int
    """How many faults its handlers were."""
    excluded: int
    """How many calls met its conditions, and were left to the next rule by `after`, `every`, `times` or `during`."""
    times_left: int | None
    """How many more calls `times` has room for, if it has `times`."""
    reverts_in: float | None
    """In how many seconds it is taken back, if it was given a duration."""

    @classmethod
    def of(cls, json: dict[str, Any]) -> Rule:
        status = json["status"]
        return cls(
            json["name"],
            json["rule"],
            status["calls"],
            status["faults"],
            status["excluded"],
            status["times_left"],
            status["reverts_in"],
        )


@dataclass(frozen=True)
class Toxic:
    """A toxic, and what it did so far."""

    name: str
    """Its name: `TYPE_STREAM` unless it was given one."""
    text: str
    """The toxic as it would be written: `latency(latency=100ms)`."""
    type: str
    stream: str
    """`upstream`, what the client sends, or `downstream`."""
    toxicity: float
    """The part of the connections that have it, from 0 to 1."""
    attributes: Mapping[str, object]
    connections: int
    """How many connections had it."""
    faults: int
    """To how many connections it did something."""
    reverts_in: float | None
    """In how many seconds it is taken back, if it was given a duration."""

    @classmethod
    def of(cls, json: dict[str, Any]) -> Toxic:
        status = json["status"]
        return cls(
            json["name"],
            json["toxic"],
            json["type"],
            json["stream"],
            json["toxicity"],
            json["attributes"],
            status["connections"],
            status["faults"],
            status["reverts_in"],
        )


@dataclass(frozen=True)
class Calls:
    """The calls of one shape."""

    shape: str
    """Command and key, or method and path, with a `*` for what identifies one thing: `GET user:*`."""
    calls: int
    """How many there were."""
    p50: float | None
    """The median time that the backend took, in seconds, if it was asked."""
    p99: float | None
    """The 99th percentile of this time, in seconds."""
    rule: str
    """A rule that matches them, to paste."""

    @classmethod
    def of(cls, json: dict[str, Any]) -> Calls:
        return cls(json["shape"], json["calls"], json["p50_seconds"], json["p99_seconds"], json["rule"])


@dataclass(frozen=True)
class Connection:
    """An open connection."""

    id: int
    """Its number, in the order in which the proxy accepted them, from 1."""
    peer: str
    """The client's address."""
    age: float
    """For how long it has been open, in seconds."""
    calls: int
    """How many calls began on it."""
    handler: str | None
    """The handler of the call in progress."""
    state: str
    """`open`, or what became of it."""
    bytes_to_backend: int
    bytes_to_client: int

    @classmethod
    def of(cls, json: dict[str, Any]) -> Connection:
        passed = json["bytes"]
        return cls(
            json["id"],
            json["peer"],
            json["age"],
            json["calls"],
            json["handler"],
            json["state"],
            passed["to_backend"],
            passed["to_client"],
        )


@dataclass(frozen=True)
class Event:
    """Something that happened: a fault (`fault`), a change (`plan`), a backend that could not be reached (`dial_failure`), a
    client with which there is no TLS (`handshake_failure`), …"""

    id: int
    """Later events have higher ones. 0 for `lost`."""
    event: str
    """What happened. `lost` stands for events that the program no longer had: `fields["count"]`."""
    time: datetime | None
    connection: int | None
    """The number of the connection."""
    call: int | None
    """The number of the call on its connection, from 1."""
    handler: str | None
    """The handler, or its name in the mix."""
    rule: str | None
    """The rule that decided, if it was not the mix."""
    toxic: str | None
    """The name of the toxic that did something to the connection for the first time."""
    verdict: str | None
    """What was done to the call: `sleep`, `hold`, `answer`, `cut`, `handshake`, `close`, `reset`, …"""
    command: str | None
    """The command, with `http` the method."""
    key: str | None
    """The first key, with `http` the path."""
    label: str | None
    """The label that was in force when the call began."""
    fields: Mapping[str, Any]
    """All fields, as the program has them."""

    @classmethod
    def of(cls, json: dict[str, Any]) -> Event:
        head = json.get("head") or {}
        # Python before 3.11 does not read the `Z`.
        time = json["time"].replace("Z", "+00:00") if "time" in json else None
        return cls(
            json.get("id", 0),
            json["event"],
            datetime.fromisoformat(time) if time else None,
            json.get("connection"),
            json.get("call"),
            json.get("handler"),
            json.get("rule"),
            json.get("toxic"),
            json.get("verdict"),
            head.get("command", head.get("method")),
            head.get("key", head.get("path")),
            json.get("label"),
            json,
        )

    def __str__(self) -> str:
        """One line: `connection 1, call 2: GET user:1, pay.error, answer`."""
        if self.connection is None:
            return self.event
        place = f"connection {self.connection}" + (f", call {self.call}" if self.call is not None else "")
        head = " ".join(word for word in (self.command, self.key) if word)
        done = self.toxic or ".".join(word for word in (self.rule, self.handler) if word) or self.event
        return f"{place}: " + ", ".join(word for word in (head, done, self.verdict) if word)


@dataclass(frozen=True)
class Counts:
    """What a proxy has counted since it started."""

    calls: Mapping[str, int]
    """Calls by handler: `error`, of a rule `pay.error`."""
    faults: Mapping[str, int]
    """Faults by handler, likewise."""
    toxics: Mapping[str, int]
    """For each toxic that the proxy has or had, to how many connections it did something."""
    connections: int
    """How many clients connected."""
    open: int
    """How many connections are open."""
    opaque: int
    """How many connections turned opaque: handlers do nothing to them."""
    backend_failures: int
    """How often the backend could not be reached."""
    handshake_failures: int
    """How many clients got no TLS although no fault prevented it: they do not trust the certificate, or send something else."""
    handshake_reasons: Mapping[str, int]
    """Why they got none, with the number of connections for each reason."""
    bytes_to_backend: int
    bytes_to_client: int

    @classmethod
    def of(cls, proxy: dict[str, Any], toxics: dict[str, int]) -> Counts:
        status = proxy["status"]
        return cls(
            status["calls"],
            status["faults"],
            toxics,
            status["connections"]["total"],
            status["connections"]["open"],
            status["connections"]["opaque"],
            status["backend_failures"],
            status["handshake_failures"],
            {reason["why"]: reason["connections"] for reason in status["handshake_reasons"]},
            status["bytes"]["to_backend"],
            status["bytes"]["to_client"],
        )

    def faults_of(self, name: str = "faults") -> int:
        """The faults of a handler in the mix and in all rules (`error`), in one rule (`pay.error`), of one rule (`pay`), of
        a toxic (`latency_downstream`), or all of them (`faults`)."""
        if name == "faults":
            return sum(self.faults.values()) + sum(self.toxics.values())
        if name in self.toxics:
            return self.toxics[name]

        def is_meant(full: str) -> bool:
            rule, _, handler = full.rpartition(".")
            return name in (full, rule, handler)

        return sum(count for full, count in self.faults.items() if is_meant(full))

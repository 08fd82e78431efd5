"""Faults on purpose between a program and its backend, for tests.

    with vaurien.Proxy("localhost:6379", protocol="redis", handler="10:error(kind=loading)") as proxy:
        client = redis.Redis.from_url(proxy.url)

`Proxy` and `AsyncProxy` start the program `vaurien`, which is in this package, and change its faults while it runs. `connect`
does so with one that runs already. With pytest, the fixture `vaurien` makes proxies for one test.
"""

from .aio import AsyncProxy, AsyncRules, AsyncToxics
from .errors import ApiError, ExpectationError, StartError, VaurienError, VaurienWarning
from .proxy import Proxy, Rules, Toxics
from .results import Calls, Connection, Counts, Event, Rule, Toxic

connect = Proxy.connect

__all__ = [
    "ApiError",
    "AsyncProxy",
    "AsyncRules",
    "AsyncToxics",
    "Calls",
    "Connection",
    "Counts",
    "Event",
    "ExpectationError",
    "Proxy",
    "Rule",
    "Rules",
    "StartError",
    "Toxic",
    "Toxics",
    "VaurienError",
    "VaurienWarning",
    "connect",
]

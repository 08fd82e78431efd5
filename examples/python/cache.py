"""A cache in Redis, as an application has it, whose client gets over calls that fail."""

import json

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry


def connect(address):
    """A client of the Redis at `host:port` that asks again where a call fails."""
    return redis.Redis.from_url(
        f"redis://{address}",
        decode_responses=True,
        # Of a broken reply the end may never come, and this is how long it is waited for. redis-py's default is five seconds.
        socket_timeout=0.05,
        # Each attempt is made on a new connection, which begins with four calls of redis-py's own. Any of the five may fail:
        # where one call in ten does, four attempts in ten come to nothing. Twenty-one in a row do not.
        retry=Retry(ExponentialBackoff(base=0.001, cap=0.02), retries=20),
        # Time-outs and lost connections are retried anyway. These two are what redis-py makes of bytes that are not Redis'
        # protocol: a reply of no known type, and a number or a text that is none. After them, too, it drops the connection,
        # on which the rest of the junk would be taken for the next reply. (One junk reply in some six thousand looks like a short
        # one of Redis, and no client can tell. Which, depends on vaurien's --seed.)
        retry_on_error=[redis.InvalidResponse, ValueError],
    )


class Cache:
    """Values under names, for a while.

    Nothing here does harm when it is done twice: who hears no answer cannot know whether it was done, and asks again. INCR would
    have counted twice.
    """

    def __init__(self, client, prefix, ttl=60):
        self.client = client
        self.prefix = prefix
        self.ttl = ttl

    def get(self, name):
        text = self.client.get(self.prefix + name)
        return None if text is None else json.loads(text)

    def put(self, name, value):
        self.client.set(self.prefix + name, json.dumps(value), ex=self.ttl)

    def put_all(self, values):
        """All of them or none."""
        with self.client.pipeline(transaction=True) as pipeline:
            for name, value in values.items():
                pipeline.set(self.prefix + name, json.dumps(value), ex=self.ttl)
            pipeline.execute()

    def remove(self, *names):
        self.client.delete(*(self.prefix + name for name in names))

    def remember(self, name, compute):
        """What is there, or else what `compute` says, which is there from then on."""
        value = self.get(name)
        if value is None:
            value = compute()
            self.put(name, value)
        return value

"""A cache in Redis whose client recovers from calls that fail."""

import json

import redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry


def connect(address):
    """A client of the Redis at `host:port` that retries failed calls."""
    return redis.Redis.from_url(
        f"redis://{address}",
        decode_responses=True,
        # The end of a broken reply may never come. This is how long the client waits for it; redis-py's default is five seconds.
        socket_timeout=0.05,
        # Each attempt uses a new connection, on which redis-py first makes four calls of its own. Each of the five may fail: if
        # one call in ten does, four attempts in ten fail. Twenty-one failures in a row practically never happen.
        retry=Retry(ExponentialBackoff(base=0.001, cap=0.02), retries=20),
        # redis-py retries time-outs and lost connections anyway. It raises these two for bytes that are not Redis' protocol: a
        # reply of unknown type, and an invalid number or text. Then it also drops the connection, as the rest of the junk would
        # look like the next reply. (About one junk reply in six thousand looks like a short Redis reply, which no client can
        # detect. Which one depends on vaurien's --seed.)
        retry_on_error=[redis.InvalidResponse, ValueError],
    )


class Cache:
    """Values under names, with a time to live.

    Every command here may safely run twice: a client that gets no answer cannot know whether the command ran, and retries it.
    INCR would count twice.
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
        """Stores all of them or none."""
        with self.client.pipeline(transaction=True) as pipeline:
            for name, value in values.items():
                pipeline.set(self.prefix + name, json.dumps(value), ex=self.ttl)
            pipeline.execute()

    def remove(self, *names):
        self.client.delete(*(self.prefix + name for name in names))

    def remember(self, name, compute):
        """Returns the stored value, or else computes and stores it."""
        value = self.get(name)
        if value is None:
            value = compute()
            self.put(name, value)
        return value

"""Tests of a cache against a real Redis of which one call in ten fails:

    pip install redis pytest
    vaurien --backend localhost:6379 --protocol redis --handler 10:error --seed 42 --expect 'error>=1' -- \
        python -m pytest -x examples/python

Without vaurien, `python -m pytest -x examples/python` runs them against the same Redis.
"""

import pytest


def test_what_was_never_there_is_none(cache):
    assert cache.get("nothing") is None


@pytest.mark.parametrize("value", [0, "", "text", [1, 2, 3], {"user": 1, "name": "Zoë"}, "x" * 100_000])
def test_a_value_comes_back_as_it_was(cache, value):
    cache.put("value", value)
    assert cache.get("value") == value


def test_the_last_value_is_the_one_that_stays(cache):
    for value in range(5):
        cache.put("value", value)
        assert cache.get("value") == value


def test_values_end(cache, client):
    cache.put("value", 1)
    assert 0 < client.ttl(cache.prefix + "value") <= cache.ttl


def test_values_are_put_together(cache):
    values = {f"value-{number}": number for number in range(5)}
    cache.put_all(values)
    assert {name: cache.get(name) for name in values} == values


def test_what_was_removed_is_gone(cache):
    cache.put("value", 1)
    cache.remove("value", "nothing")
    assert cache.get("value") is None


def test_a_value_is_computed_once(cache):
    computed = []

    def compute():
        computed.append(1)
        return "the answer"

    assert [cache.remember("question", compute) for _ in range(5)] == ["the answer"] * 5
    assert len(computed) == 1

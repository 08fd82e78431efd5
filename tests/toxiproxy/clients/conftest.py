"""A program and a backend for each test."""

import pytest
from world import echo, toxiproxy


@pytest.fixture
def api():
    with toxiproxy() as port:
        yield port


@pytest.fixture
def backend():
    with echo() as port:
        yield port

import os
import uuid

import pytest
from cache import Cache, connect


@pytest.fixture(scope="session")
def client():
    """Redis, through vaurien where it runs these tests, and else itself."""
    with connect(os.environ.get("VAURIEN_PROXY", "localhost:6379")) as client:
        yield client


@pytest.fixture
def cache(client):
    """A cache of the test's own, in which nothing stays for long."""
    return Cache(client, prefix=f"test:{uuid.uuid4()}:", ttl=60)

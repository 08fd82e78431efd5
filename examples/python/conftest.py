import os
import uuid

import pytest
from cache import Cache, connect


@pytest.fixture(scope="session")
def client():
    """Redis, through vaurien if it runs these tests, or else directly."""
    with connect(os.environ.get("VAURIEN_PROXY", "localhost:6379")) as client:
        yield client


@pytest.fixture
def cache(client):
    """A cache for this test only, whose values expire soon."""
    return Cache(client, prefix=f"test:{uuid.uuid4()}:", ttl=60)

import pytest
import world


@pytest.fixture(scope="session")
def redis_server():
    with world.redis_server() as address:
        yield address


@pytest.fixture(scope="session")
def memcached():
    with world.memcached() as address:
        yield address


@pytest.fixture
def pages():
    with world.http_server() as pages:
        yield pages

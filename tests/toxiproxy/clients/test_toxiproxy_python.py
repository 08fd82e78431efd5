"""toxiproxy-python, unchanged."""

import pytest
from toxiproxy import Toxiproxy
from toxiproxy.exceptions import InvalidToxic, NotFound, ProxyExists
from world import TOXICS, talk


@pytest.fixture
def server(api):
    server = Toxiproxy()
    server.update_api_consumer("127.0.0.1", api)
    return server


@pytest.fixture
def proxy(server, backend):
    return server.create(name="redis:6379", upstream=f"127.0.0.1:{backend}")


def test_proxies_are_created_listed_toggled_and_destroyed(server, proxy):
    assert server.running() and server.version() == b'{"version": "2.12.0"}\n'
    host, _ = proxy.listen.split(":")
    assert host == "127.0.0.1" and proxy.enabled
    assert list(server.proxies()) == ["redis:6379"]
    with proxy.down():
        assert talk(proxy.listen)[1] is ConnectionRefusedError
        assert not server.get_proxy("redis:6379").enabled
    assert talk(proxy.listen)[0] == b"hello"
    with pytest.raises(ProxyExists):
        server.create(name="redis:6379", upstream="127.0.0.1:1")
    assert server.destroy(proxy) and server.proxies() == {}
    with pytest.raises(NotFound):
        proxy.disable()


@pytest.mark.parametrize("kind", TOXICS)
def test_every_toxic_has_its_effect(server, proxy, kind):
    attributes, is_seen = TOXICS[kind]
    proxy.add_toxic(type=kind, attributes=attributes)
    toxic = proxy.get_toxic(f"{kind}_downstream")
    assert (toxic.attributes, toxic.toxicity, toxic.stream) == (attributes, 1, "downstream")
    assert is_seen(proxy.listen)
    assert server.reset() and proxy.toxics() == {}
    assert talk(proxy.listen)[0] == b"hello"


def test_mistakes_are_the_clients_exceptions(server, proxy):
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="none")
    with pytest.raises(InvalidToxic):
        proxy.add_toxic(type="latency", stream="sideways")
    with pytest.raises(NotFound):
        proxy.destroy_toxic("none")
    proxy.add_toxic(type="latency", name="one")
    with pytest.raises(ProxyExists):
        proxy.add_toxic(type="latency", name="one")
    assert proxy.destroy_toxic("one")


def test_a_list_is_populated(server, backend):
    proxies = [{"name": name, "upstream": f"127.0.0.1:{backend}", "listen": "127.0.0.1:0"} for name in ("a", "b")]
    assert [proxy.name for proxy in server.populate(proxies)] == ["a", "b"]
    server.destroy_all()
    assert server.proxies() == {}

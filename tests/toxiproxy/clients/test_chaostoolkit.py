"""chaostoolkit-toxiproxy, unchanged."""

import pytest
from chaostoxi.proxy import actions, probes
from chaostoxi.toxic import actions as toxics
from world import TOXICS, talk


@pytest.fixture
def configuration(api):
    return {"toxiproxy_host": "127.0.0.1", "toxiproxy_port": api}


@pytest.fixture
def listen(configuration, backend):
    made = actions.create_proxy(
        "db", "127.0.0.1", backend, listen_host="127.0.0.1", configuration=configuration
    )
    assert made
    return configuration["db_PORT"]


def test_proxies_are_created_toggled_and_deleted(configuration, listen):
    assert probes.proxy_exist("db", configuration=configuration)
    assert not probes.proxy_exist("none", configuration=configuration)
    assert actions.disable_proxy("db", configuration=configuration)
    assert probes.get_proxy_attribute("db", "enabled", configuration=configuration) is False
    assert talk(listen)[1] is ConnectionRefusedError
    assert actions.enable_proxy("db", configuration=configuration)
    assert configuration["db_PORT"] == listen and talk(listen)[0] == b"hello"
    actions.delete_proxy("db", configuration=configuration)
    assert not probes.proxy_exist("db", configuration=configuration)


@pytest.mark.parametrize("kind", TOXICS)
def test_every_toxic_has_its_effect(configuration, listen, kind):
    attributes, is_seen = TOXICS[kind]
    assert toxics.create_toxic("db", "tox", kind, attributes=attributes, configuration=configuration)
    assert is_seen(listen)
    assert actions.reset(configuration=configuration)
    assert talk(listen)[0] == b"hello"


def test_a_toxic_without_attributes(configuration, listen):
    assert toxics.create_toxic("db", "tox", "timeout", attributes=None, configuration=configuration)
    assert toxics.delete_toxic("db", "tox", configuration=configuration)
    assert talk(listen)[0] == b"hello"

"""A proxy in front of an HTTP server, and requests as its client."""

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util.retry import Retry

import vaurien


@pytest.fixture
def proxy(http_server):
    with vaurien.Proxy(http_server, protocol="http", seed=1) as proxy:
        yield proxy


def test_a_client_that_tries_again_succeeds(proxy):
    assert proxy.url.startswith("http://127.0.0.1:")
    with requests.Session() as session, proxy.rule("GET /pay times=2 => error(status=503, retry_after=0s)", name="pay"):
        session.mount("http://", HTTPAdapter(max_retries=Retry(3, status_forcelist=[503])))
        assert session.get(f"{proxy.url}/pay").text == "hello"
    proxy.assert_faults("pay.error", at_least=2, at_most=2)
    assert [str(event) for event in proxy.events() if event.event == "fault"] == [
        "connection 1, call 1: GET /pay, pay.error, answer",
        "connection 1, call 2: GET /pay, pay.error, answer",
    ]


def test_a_client_that_does_not_fails(proxy):
    with proxy.fault("error(status=500)"):
        assert requests.get(proxy.url, timeout=20).status_code == 500
    with proxy.fault("blackout"), pytest.raises(requests.ConnectionError):
        requests.get(proxy.url, timeout=20)
    with proxy.fault("hang"), pytest.raises(requests.Timeout):
        requests.get(proxy.url, timeout=0.2)
    assert requests.get(proxy.url, timeout=20).text == "hello"


def test_a_client_without_tls_is_told(http_server, tmp_path):
    with vaurien.Proxy(http_server, protocol="http", tls="auto", tls_dir=str(tmp_path), allow_no_calls=True) as proxy:
        assert requests.get(f"http://{proxy.address}", timeout=20).status_code == 400
        [event] = proxy.events()
        assert (event.event, event.connection) == ("handshake_failure", 1)
        why = "the client sent HTTP without TLS"
        assert event.fields["why"] == why
        counts = proxy.counts()
        assert (counts.handshake_failures, counts.handshake_reasons) == (1, {why: 1})
        with pytest.raises(vaurien.ExpectationError, match=f"backend, 1 got no TLS \\({why}\\), faults: "):
            proxy.assert_faults()

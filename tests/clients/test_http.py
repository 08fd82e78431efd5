"""requests, with urllib3's Retry, and curl see what HTTP calls an error, and when to try again."""

import contextlib
import json
import subprocess
import time

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import IncompleteRead
from urllib3.util import Retry
from world import ENVIRONMENT, TIMEOUT, at_once, vaurien


@pytest.fixture
def proxy(pages):
    with vaurien(pages.server_address, "http") as proxy:
        proxy.page = f"http://{proxy.host}:{proxy.port}/"
        yield proxy


class Session(requests.Session):
    def __init__(self, retries=0):
        super().__init__()
        self.mount("http://", HTTPAdapter(max_retries=retries))

    def request(self, method, url, **options):
        return super().request(method, url, timeout=TIMEOUT, **options)


@pytest.fixture
def session(proxy):
    """A session with a connection."""
    with Session() as session:
        assert session.get(proxy.page).ok
        yield session


@contextlib.contextmanager
def kept(session, proxy):
    """Fails if the session's next request is on another connection."""
    before = proxy.connections()
    yield
    assert session.get(proxy.page).content == b"x" * 1000
    assert proxy.connections() == before


def curl(*arguments):
    """The exit code of curl, the bodies that it got, and what it tells of the transfers, one after the other."""
    command = ["curl", "--silent", "--no-progress-meter", "--max-time", str(TIMEOUT), "--write-out", "%{stderr}%{json}\n"]
    done = subprocess.run([*command, *arguments], capture_output=True, env=ENVIRONMENT, timeout=2 * TIMEOUT)
    return done.returncode, done.stdout, [json.loads(line) for line in done.stderr.splitlines()]


@contextlib.contextmanager
def at_least(seconds):
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun >= seconds


@pytest.mark.parametrize("status", [418, 429, 500, 502, 503, 529])
def test_a_status_is_that_of_a_complete_response(session, proxy, pages, status):
    with kept(session, proxy):
        with proxy.handler("error", status=str(status)), at_once():
            for method in ("GET", "HEAD", "POST", "PUT", "OPTIONS"):
                seen = session.request(method, proxy.page, data=b"x" * 5000 if method in ("POST", "PUT") else None)
                assert seen.status_code == status
                assert ("vaurien" in seen.text) == (method != "HEAD")
                with pytest.raises(requests.HTTPError):
                    seen.raise_for_status()
    assert proxy.faults("error") == 5
    assert pages.seen == ["GET /"] * 2


def test_a_body_of_ones_own_comes_as_it_is(session, proxy):
    with kept(session, proxy):
        with proxy.handler("error", status="503", body='{"error": "down", "of": "ünïcode"}', headers=["X-Why: test"]):
            seen = session.get(proxy.page)
            assert seen.status_code == 503
            assert seen.headers["Content-Type"] == "application/json"
            assert seen.headers["X-Why"] == "test"
            assert seen.json() == {"error": "down", "of": "ünïcode"}
        with proxy.handler("error", status="529", body="too much"):
            seen = session.get(proxy.page)
            assert (seen.status_code, seen.text) == (529, "too much")
            assert seen.headers["Content-Type"].startswith("text/plain")


def test_a_status_without_a_body_has_none(session, proxy):
    with kept(session, proxy):
        for status in (204, 304):
            with proxy.handler("error", status=str(status)), at_once():
                seen = session.get(proxy.page)
                assert (seen.status_code, seen.content) == (status, b"")


def test_a_miss_is_a_404(session, proxy):
    with kept(session, proxy), proxy.handler("miss"):
        assert session.get(proxy.page).status_code == 404


@pytest.mark.parametrize("status", [429, 503])
def test_urllib3_waits_as_long_as_retry_after_says(proxy, pages, status):
    # Without Retry-After there would be no wait, as the factor is 0.
    with Session(Retry(total=2, backoff_factor=0)) as session:
        assert session.get(proxy.page).ok
        with kept(session, proxy), proxy.handler("transient", status=str(status), retry_after=1), at_once(), at_least(1):
            seen = session.get(proxy.page)
        assert seen.content == b"x" * 1000
        assert [past.status for past in seen.raw.retries.history] == [status]
    assert proxy.faults("transient") == 1


def test_urllib3_gives_up_at_last(proxy):
    with Session(Retry(total=2, backoff_factor=0, status_forcelist=[503])) as session:
        with proxy.handler("error", status="503"), at_once(), pytest.raises(requests.exceptions.RetryError):
            session.get(proxy.page)
        assert proxy.faults("error") == 3
        assert session.get(proxy.page).ok
        assert proxy.connections() == 1


def test_a_cut_chunked_body_is_incomplete(session, proxy):
    with proxy.handler("cut", after="150"), at_once(), pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
        session.get(proxy.page + "chunked")
    assert "IncompleteRead" in repr(caught.value)
    assert session.get(proxy.page + "chunked").content == b"x" * 1000


def test_a_cut_body_is_incomplete(session, proxy):
    with proxy.handler("cut"), at_once(), pytest.raises(requests.exceptions.ChunkedEncodingError) as caught:
        session.get(proxy.page)
    (cause,) = (arg for arg in caught.value.args[0].args if isinstance(arg, IncompleteRead))
    assert (cause.partial, cause.expected) == (500, 500)


def test_a_reset_is_an_error_of_the_connection(session, proxy):
    with proxy.handler("reset"), at_once(), pytest.raises(requests.ConnectionError, match="reset by peer"):
        session.get(proxy.page)
    assert session.get(proxy.page).ok


def test_what_was_aborted_is_done(session, proxy, pages):
    with proxy.handler("abort"), at_once(), pytest.raises(requests.ConnectionError):
        session.post(proxy.page + "pay", data=b"1")
    assert pages.seen == ["GET /", "POST /pay"]


def test_a_reply_of_ones_own_is_read_as_one(session, proxy):
    with kept(session, proxy), proxy.handler(r'reply(bytes="HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")'):
        assert session.get(proxy.page).text == "hi"


def test_junk_is_noticed_at_once(pages):
    with vaurien(pages.server_address, "tcp") as proxy, Session() as session:
        page = f"http://{proxy.host}:{proxy.port}/"
        assert session.get(page).ok
        for _ in range(10):
            with proxy.handler("error"), at_once():
                with pytest.raises(requests.ConnectionError, match="BadStatusLine"):
                    session.get(page)
                # 1: what came is not HTTP/1.
                assert curl(page)[0] == 1
        assert session.get(page).ok


def test_curl_keeps_its_connection(proxy):
    with proxy.handler("error", status="529", body="full"), at_once():
        code, body, seen = curl(proxy.page, proxy.page, "--data-binary", "x" * 5000)
    assert (code, body) == (0, b"fullfull")
    assert [(each["http_code"], each["num_connects"]) for each in seen] == [(529, 1), (529, 0)]


def test_curl_with_fail_ends_with_its_code_for_that(proxy):
    with proxy.handler("error", status="503"), at_once():
        assert curl("--fail", proxy.page)[0] == 22


def test_curl_waits_as_long_as_retry_after_says(proxy):
    # By itself it would wait for one second.
    with proxy.handler("transient", status="429", retry_after=2), at_once(), at_least(2):
        code, body, seen = curl("--retry", "2", proxy.page, "--fail")
    assert (code, body) == (0, b"x" * 1000)
    assert seen[-1]["http_code"] == 200
    assert proxy.faults("transient") == 1


def test_curl_that_waits_for_100_gets_the_error_at_once(proxy, pages):
    with proxy.handler("error", status="503", body="no"), at_once():
        code, body, seen = curl("--header", "Expect: 100-continue", "--expect100-timeout", "20", "--data", "x", proxy.page)
    assert (code, body, seen[0]["http_code"]) == (0, b"no", 503)
    assert pages.seen == []


@pytest.mark.parametrize("path", ["", "chunked"])
def test_curl_tells_that_a_body_was_cut(proxy, path):
    with proxy.handler("cut", after="150"), at_once():
        code, body, _ = curl(proxy.page + path)
    # 18: a partial file.
    assert code == 18
    assert 0 < len(body) <= 150


def test_curl_tells_that_it_was_reset(proxy):
    with proxy.handler("reset"), at_once():
        # At which of its steps the reset is found: 7 connecting, 55 sending, 56 receiving.
        assert curl(proxy.page)[0] in (7, 55, 56)
    assert curl(proxy.page)[0] == 0


def test_curl_tells_that_the_reply_never_came(proxy, pages):
    with proxy.handler("abort"), at_once():
        # 52: the server returned nothing.
        assert curl(proxy.page + "pay", "--data", "1")[0] == 52
    assert pages.seen == ["POST /pay"]

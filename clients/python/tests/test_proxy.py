"""A proxy in front of Redis, and redis-py as its client."""

import contextlib
import inspect
import time

import pytest
import redis

import vaurien


def test_without_faults_nothing_changes(proxy, client):
    assert client.set("a", "1") and client.get("a") == b"1"
    assert proxy.host == "127.0.0.1" and proxy.address == f"127.0.0.1:{proxy.port}"
    assert proxy.url == f"redis://{proxy.address}"
    assert proxy.counts().calls == {"dummy": 2}


def test_the_handler_is_read_and_assigned(proxy, client):
    proxy.handler = "error(kind=readonly)"
    assert proxy.handler == "error(kind=readonly)"
    with pytest.raises(redis.ReadOnlyError):
        client.set("a", 1)
    proxy.handler = "dummy"
    assert client.set("a", 1)


def test_a_fault_ends_with_its_block(proxy, client):
    proxy.handler = "miss"
    client.set("a", 1)
    with proxy.fault("error(kind=oom)"), pytest.raises(redis.OutOfMemoryError):
        client.get("a")
    assert proxy.handler == "miss" and client.get("a") is None
    with pytest.raises(ZeroDivisionError), proxy.fault("error(kind=oom)"):
        _ = 1 / 0
    assert proxy.handler == "miss"


@pytest.mark.filterwarnings("ignore::vaurien.VaurienWarning")
def test_faults_nest(proxy):
    with proxy.fault("hang"):
        with proxy.fault("delay(sleep=1ms)"):
            assert proxy.handler == "delay(sleep=1ms)"
        assert proxy.handler == "hang"
    assert proxy.handler == "dummy"


def test_rules_are_listed_added_and_removed(proxy, client):
    assert proxy.rules.list() == []
    proxy.rules.add("SET => error(kind=readonly)", name="writes")
    table = {"match": {"command": "SET|DEL"}, "times": 1, "handler": "error(kind=oom)"}
    added = proxy.rules.add(table, name="first", before="writes")
    assert (added.name, added.times_left, added.calls) == ("first", 1, 0)
    assert [rule.name for rule in proxy.rules.list()] == ["first", "writes"]
    with pytest.raises(redis.OutOfMemoryError):
        client.set("a", 1)
    with pytest.raises(redis.ReadOnlyError):
        client.set("a", 1)
    first = proxy.rules.get("first")
    assert (first.calls, first.faults, first.excluded, first.times_left) == (1, 1, 1, 0)
    proxy.rules.remove("writes")
    assert [rule.name for rule in proxy.rules.list()] == ["first"]
    proxy.rules.clear()
    assert proxy.rules.list() == [] and client.set("a", 1)


def test_a_rule_goes_after_its_duration(proxy):
    rule = proxy.rules.add("SET => error", duration="1h")
    assert 3590 < rule.reverts_in <= 3600
    assert proxy.rules.add("GET => error", duration=60).reverts_in <= 60


def test_a_rule_of_a_block_is_the_first_one(proxy, client):
    proxy.rules.add("SET => error(kind=readonly)")
    with proxy.rule("SET => error(kind=oom)", name="mine") as rule:
        assert rule.name == "mine"
        with pytest.raises(redis.OutOfMemoryError):
            client.set("a", 1)
    with pytest.raises(redis.ReadOnlyError):
        client.set("a", 1)
    with proxy.rule("GET => error(kind=oom)") as rule:
        # That it is gone already is no error.
        proxy.rules.remove(rule.name)


def test_toxics_are_listed_added_and_removed(proxy, client):
    slow = proxy.toxics.add("latency(latency=50ms)")
    assert (slow.name, slow.type, slow.stream, slow.toxicity) == ("latency_downstream", "latency", "downstream", 1)
    begun = time.monotonic()
    client.ping()
    assert time.monotonic() - begun >= 0.05
    attributes = {"rate": "50KB/s"}
    keys = {"type": "bandwidth", "stream": "upstream", "attributes": attributes, "toxicity": 0.5}
    narrow = proxy.toxics.add(keys, name="narrow", duration="1h")
    assert (narrow.toxicity, narrow.stream) == (0.5, "upstream") and narrow.reverts_in > 3590
    assert [toxic.name for toxic in proxy.toxics.list()] == ["latency_downstream", "narrow"]
    assert proxy.toxics.get("latency_downstream").faults == 1
    proxy.toxics.remove("latency_downstream")
    assert [toxic.name for toxic in proxy.toxics.list()] == ["narrow"]
    proxy.toxics.clear()
    assert proxy.toxics.list() == []


def test_a_toxic_ends_with_its_block_and_stays_counted(proxy, client):
    with proxy.toxic("latency(latency=1ms)", name='a "b" \\ c') as toxic:
        client.ping()
    assert proxy.toxics.list() == []
    proxy.assert_faults(toxic.name, at_least=1, at_most=1)


def test_down_refuses_connections_for_a_block(proxy, client):
    client.ping()
    with proxy.down(), pytest.raises(redis.ConnectionError):
        client.ping()
    assert client.ping()


def test_a_temporary_change_is_not_made_permanent(proxy):
    proxy._run(proxy._api.change(handler="hang", **{"for": "1h"}))
    with pytest.raises(vaurien.VaurienError, match="temporary change, which reverts in"), proxy.fault("error"):
        pass
    assert proxy.handler == "hang"


def test_calls_are_listed_by_shape(proxy, client):
    for number in range(3):
        client.set(f"user:{number}", 1)
    client.get("a")
    first, second = proxy.calls()
    assert (first.shape, first.calls, first.rule) == ("SET user:*", 3, "SET user:* => error(kind=err)")
    assert second.shape == "GET a" and 0 < second.p50 <= second.p99


def test_events_tell_each_fault(proxy, client):
    proxy.rules.add("GET user:* => error(kind=readonly)", name="users")
    client.get("a")
    with pytest.raises(redis.ReadOnlyError):
        client.get("user:1")
    plan, fault = proxy.events()
    assert plan.event == "plan" and plan.fields["rules"] == ["GET user:* name=users => error(kind=readonly)"]
    assert (fault.event, fault.connection, fault.call, fault.handler) == ("fault", 1, 2, "error")
    assert (fault.rule, fault.verdict, fault.command, fault.key) == ("users", "answer", "GET", "user:1")
    assert abs(fault.time.timestamp() - time.time()) < 60
    assert str(fault) == "connection 1, call 2: GET user:1, users.error, answer"
    assert proxy.events(since=plan.id) == [fault] and proxy.events(since=fault.id) == []


def test_open_connections_are_listed(proxy, client):
    assert proxy.connections() == []
    client.ping()
    [connection] = proxy.connections()
    assert (connection.id, connection.calls, connection.handler) == (1, 1, None)
    assert connection.bytes_to_client == len("+PONG\r\n") and connection.peer.startswith("127.0.0.1:")


def test_faults_are_asserted(proxy, client):
    with pytest.raises(
        vaurien.ExpectationError, match="faults of `dummy`: at least 1 expected, 0 seen; 0 calls on 0 connections"
    ):
        proxy.assert_faults("dummy")
    proxy.rules.add("GET => error(kind=err)", name="reads")
    with proxy.fault("error(kind=err)"):
        for call in [client.get, client.incr]:
            with pytest.raises(redis.ResponseError):
                call("a")
    for name, faults in {"error": 2, "reads": 1, "reads.error": 1, "faults": 2}.items():
        proxy.assert_faults(name, at_least=faults, at_most=faults)
    proxy.assert_faults()
    with pytest.raises(AssertionError, match="at most 1 expected, 2 seen"):
        proxy.assert_faults("error", at_most=1)


@pytest.mark.filterwarnings("ignore::vaurien.VaurienWarning")
def test_a_name_that_nothing_has_is_a_mistake(proxy, client):
    with pytest.raises(vaurien.ExpectationError) as mistake:
        proxy.assert_faults("eror", at_least=0, at_most=0)
    assert "nothing is called `eror` (there are: dummy, faults); " in str(mistake.value)
    proxy.handler = "error"
    proxy.handler = "dummy"
    proxy.rules.add("GET => miss", name="reads")
    proxy.rules.remove("reads")
    with proxy.rule("SET => 1:delay", name="writes"):
        client.set("a", 1)
    for name in ["error", "reads", "reads.miss", "writes.delay"]:
        proxy.assert_faults(name, at_least=0, at_most=0)
    with pytest.raises(vaurien.ExpectationError, match="nothing is called `eror`, did you mean `error` "):
        proxy.assert_faults("eror", at_least=0, at_most=0)


def test_a_block_that_did_nothing_warns(proxy, client):
    def warned(block):
        with pytest.warns(vaurien.VaurienWarning) as warnings:
            with block:
                client.set("a", 1)
        [warning] = warnings
        assert warning.filename == __file__
        return str(warning.message)

    assert warned(proxy.rule("GET => miss", name="reads")) == "rule `reads` matched no call: GET name=reads => miss"
    excluded = "rule `two` took no call: `after`, `every` or `during` excluded 1 call: SET after=1 name=two => error"
    assert warned(proxy.rule("SET after=1 => error", name="two")) == excluded
    assert warned(proxy.rule("SET => miss", name="sets")) == (
        "rule `sets` injected no fault in its block: it had 1 call: SET name=sets => miss"
    )
    assert warned(proxy.fault("miss")) == "`miss` injected no fault in its block: it had 1 call"
    nothing = "toxic `late` did nothing: late=limit_data(bytes=100MB)"
    assert warned(proxy.toxic("limit_data(bytes=100MB)", name="late")) == nothing


@pytest.mark.filterwarnings("error")
def test_a_block_that_did_something_or_failed_does_not_warn(proxy, client):
    client.set("a", 1)
    with proxy.rule("GET => miss"), proxy.toxic("latency(latency=1ms)"), proxy.rule("PING => dummy"):
        client.get("a")
    with proxy.fault("hang(for=1ms)"), pytest.raises(redis.ConnectionError):
        client.get("a")
    with pytest.raises(ZeroDivisionError), proxy.rule("GET => miss"), proxy.fault("error"), proxy.toxic("latency(latency=1ms)"):
        _ = 1 / 0


def test_a_rule_is_called_by_its_place(proxy):
    with pytest.warns(vaurien.VaurienWarning), contextlib.ExitStack() as stack:
        names = []
        for key in "ab":
            names.append(stack.enter_context(proxy.rule(f"GET {key} => miss")).name)
        line = inspect.currentframe().f_lineno - 1
        assert names == [f"test_a_rule_is_called_by_its_place-{line}", f"test_a_rule_is_called_by_its_place-{line}-2"]
        assert stack.enter_context(proxy.rule("GET c name=reads => miss")).name == "reads"
        assert stack.enter_context(proxy.rule({"name": "table", "match": {"key": "d"}, "handler": "miss"})).name == "table"


def test_the_same_seed_hits_the_same_calls(redis_server):
    def hit(seed):
        with vaurien.Proxy(redis_server, protocol="redis", handler="30:miss", seed=seed) as proxy:
            assert proxy.seed == seed
            with redis.Redis.from_url(proxy.url, protocol=2, driver_info=None) as client:
                client.set("a", 1)
                return [client.get("a") for _ in range(50)]

    assert hit(7) == hit(7) != hit(8)


def test_a_mistake_is_told_in_the_words_of_the_program(proxy):
    with pytest.raises(vaurien.ApiError, match=r"unknown handler `eror`.*did you mean `error`") as mistake:
        proxy.handler = "eror"
    assert mistake.value.status == 400
    with pytest.raises(vaurien.ApiError, match="has no rule `pay`") as missing:
        proxy.rules.remove("pay")
    assert missing.value.status == 404


def test_a_label_is_in_the_events_that_follow(proxy, client):
    proxy.label("test_pay")
    with proxy.fault("error(kind=err)"), pytest.raises(redis.ResponseError):
        client.get("a")
    [fault] = [event for event in proxy.events() if event.event == "fault"]
    assert fault.label == "test_pay"
    proxy.label(None)
    proxy.handler = "miss"
    assert proxy.events()[-1].label is None


def test_a_proxy_of_a_running_program(proxy, client):
    other = vaurien.connect(proxy.api_url)
    assert (other.address, other.url, other.seed, other.log()) == (proxy.address, proxy.url, None, "")
    with other, other.fault("error(kind=err)"), pytest.raises(redis.ResponseError):
        client.get("a")
    assert client.ping(), "its block does not stop the program"
    with pytest.raises(vaurien.ApiError, match="no proxy `cache`"):
        vaurien.connect(proxy.api_url, proxy="cache")
    with pytest.raises(vaurien.VaurienError, match=r"write http://HOST:PORT"):
        vaurien.connect("https://localhost")


def test_a_running_program_may_want_a_token(redis_server):
    with vaurien.Proxy(redis_server, http_token="secret") as proxy:
        with pytest.raises(vaurien.ApiError) as refused:
            vaurien.connect(proxy.api_url)
        assert refused.value.status == 401
        assert vaurien.connect(proxy.api_url, token="secret").handler == proxy.handler == "dummy"


def test_a_running_program_is_found_in_the_environment(redis_server, monkeypatch):
    with vaurien.Proxy(redis_server, http_token="secret") as proxy:
        monkeypatch.setenv("VAURIEN_HTTP", proxy.api_url.split("//")[1])
        monkeypatch.setenv("VAURIEN_HTTP_TOKEN", "secret")
        assert vaurien.connect().handler == "dummy"
        with pytest.raises(vaurien.ApiError):
            vaurien.connect(proxy.api_url)
    for value, what in [("true", "is `true`"), ("", "is not set")]:
        monkeypatch.setenv("VAURIEN_HTTP", value)
        with pytest.raises(vaurien.VaurienError, match=f"connect: VAURIEN_HTTP {what}: give the URL, or run this within"):
            vaurien.connect()


def test_asyncio_has_the_same_names():
    def public(kind):
        return {
            name: [(one.name, one.kind, one.default) for one in inspect.signature(member).parameters.values()]
            for name, member in inspect.getmembers(kind, callable)
            if not name.startswith("_")
        }

    names = public(vaurien.AsyncProxy)
    assert names.pop("get_handler") and names.pop("set_handler")
    assert names == public(vaurien.Proxy)
    assert public(vaurien.AsyncRules) == public(vaurien.Rules)
    assert public(vaurien.AsyncToxics) == public(vaurien.Toxics)
    assert inspect.signature(vaurien.AsyncProxy) == inspect.signature(vaurien.Proxy)

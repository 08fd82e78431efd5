"""How the program starts, and what it says at its end."""

import os
import re
import shutil
import subprocess
import sys

import pytest
import redis

import vaurien


def test_the_program_is_on_the_path_and_a_module():
    version = subprocess.run([shutil.which("vaurien"), "--version"], capture_output=True, text=True, check=True).stdout
    assert version.startswith("vaurien ")
    assert subprocess.check_output([sys.executable, "-m", "vaurien", "--version"], text=True) == version


def test_mistakes_are_told_all_at_once(redis_server):
    with pytest.raises(vaurien.StartError) as mistakes, vaurien.Proxy(redis_server, protocol="rediss", handler="eror"):
        pass
    lines = mistakes.value.stderr.splitlines()
    assert len(lines) == 2 and all(any(word in line for line in lines) for word in ["`rediss`", "`eror`"])
    assert str(mistakes.value) == "\n".join(["vaurien did not start:", *lines])


def test_a_program_that_is_not_there_is_told(redis_server, monkeypatch):
    with pytest.raises(vaurien.StartError, match="cannot execute /nowhere/vaurien: No such file"):
        vaurien.Proxy(redis_server, program="/nowhere/vaurien").start()
    monkeypatch.setenv("VAURIEN", "/nowhere/other")
    with pytest.raises(vaurien.StartError, match="cannot execute /nowhere/other"):
        vaurien.Proxy(redis_server).start()


def test_options_are_those_of_the_command_line(redis_server):
    options = {"keep_alive": True, "connect_timeout": "2s", "pool_size": 7, "log_level": "debug"}
    with vaurien.Proxy(redis_server, **options) as proxy:
        settings = proxy._run(proxy._api.settings())
    assert (settings["keep_alive"], settings["connect_timeout"], settings["pool_size"]) == (True, 2, 7)
    with pytest.raises(vaurien.StartError, match="unknown option `--keep-alife`, did you mean `--keep-alive`"):
        vaurien.Proxy(redis_server, keep_alife=True).start()


def test_rules_and_toxics_are_there_from_the_start(redis_server):
    rules = ["SET => error(kind=readonly)", "GET => miss"]
    toxics = ["latency(latency=1ms)", "upstream:slow=bandwidth(rate=50KB/s)"]
    with vaurien.Proxy(redis_server, protocol="redis", rules=rules, toxics=toxics, allow_no_calls=True) as proxy:
        assert [rule.text for rule in proxy.rules.list()] == rules
        assert [toxic.text for toxic in proxy.toxics.list()] == toxics


def test_options_of_a_vaurien_around_it_are_not_its_own(redis_server, monkeypatch):
    monkeypatch.setenv("VAURIEN_TOXIC", "latency(latency=1ms)")
    monkeypatch.setenv("VAURIEN_CONFIG", "/nowhere/vaurien.toml")
    with vaurien.Proxy(redis_server) as proxy:
        assert proxy.toxics.list() == []


def test_one_that_was_not_started_says_so(redis_server):
    proxy = vaurien.Proxy(redis_server)
    for use in [lambda: proxy.address, lambda: proxy.handler, proxy.counts]:
        with pytest.raises(vaurien.VaurienError, match="was not started: use it in a `with` block"):
            use()
    proxy.close()
    with proxy, pytest.raises(vaurien.VaurienError, match="started already"):
        proxy.start()


def test_it_is_started_and_closed_without_a_block(redis_server):
    proxy = vaurien.Proxy(redis_server).start()
    assert proxy.handler == "dummy"
    proxy.close()
    proxy.close()
    with pytest.raises(vaurien.VaurienError, match="has ended with exit code 0"):
        _ = proxy.handler
    assert "stopped" in proxy.log() or "exit code 0" in proxy.log()


def test_chaos_without_a_call_is_an_error(redis_server):
    with pytest.raises(vaurien.ExpectationError) as missed, vaurien.Proxy(redis_server, protocol="redis", handler="50:error"):
        pass
    assert str(missed.value) == (
        "expected calls>=1: NOT met, 0; handler 50:error met no call: no connections, "
        "a client has to connect to `proxy.address`; if this run is meant to make no calls, set allow_no_calls=True"
    )
    with vaurien.Proxy(redis_server, protocol="redis", handler="50:error", allow_no_calls=True):
        pass


@pytest.mark.parametrize("log_level", ["info", "warn"])
def test_chaos_that_did_nothing_is_warned_of(redis_server, log_level):
    faults = {"handler": "0.001:hang", "rules": ["GET => miss"], "toxics": ["limit_data(bytes=100MB)"]}
    with pytest.warns(vaurien.VaurienWarning) as warned:
        with vaurien.Proxy(redis_server, protocol="redis", seed=1, log_level=log_level, **faults) as proxy:
            with redis.Redis.from_url(proxy.url, protocol=2, driver_info=None) as client:
                client.ping()
                with proxy.toxic("slicer(average_size=100KB)", name="slice"):
                    client.ping()
        proxy.close()
    assert [str(warning.message).split(":")[0] for warning in warned] == [
        "toxic `slice` did nothing",
        "rule `rule-1` matched no call",
        "`hang` injected no fault",
        "toxic `limit_data_downstream` did nothing",
    ]
    assert {warning.filename for warning in warned} == {__file__}


def test_what_was_counted_stays_known(redis_server):
    with vaurien.Proxy(redis_server, protocol="redis", handler="miss") as proxy:
        with redis.Redis.from_url(proxy.url, protocol=2, driver_info=None) as client:
            client.get("a")
    assert proxy.counts().calls == {"miss": 1}
    proxy.assert_faults("miss", at_least=1, at_most=1)
    with pytest.raises(vaurien.ExpectationError, match="nothing is called `mis`, did you mean `miss`"):
        proxy.assert_faults("mis", at_least=0)


def test_a_report_names_the_test(redis_server, tmp_path):
    report = tmp_path / "report.html"
    with vaurien.Proxy(redis_server, report=str(report)):
        pass
    title = re.search("<h1>(.*?)</h1>", report.read_text())[1]
    assert "python-block.sh" in title and "test_program.py::test_a_report_names_the_test" in title and "echo" not in title


def test_expectations_are_checked_at_the_end(redis_server):
    def run(expect, **options):
        with vaurien.Proxy(redis_server, protocol="redis", handler="miss", expect=expect, **options) as proxy:
            with redis.Redis.from_url(proxy.url, protocol=2, driver_info=None) as client:
                client.get("a")

    run(["miss==1", "calls==1"])
    with pytest.raises(vaurien.ExpectationError) as missed:
        run(["miss>=2", "calls==1", "connections>=9"])
    assert [line.split(",")[0] for line in str(missed.value).splitlines()] == [
        "expected miss>=2: NOT met",
        "expected connections>=9: NOT met",
    ]
    with pytest.raises(vaurien.ExpectationError, match=r"^expected miss>=2: NOT met, 1$"):
        run(["miss>=2"], log_level="error")


def test_an_exception_of_the_block_is_kept(redis_server):
    with pytest.raises(ZeroDivisionError), vaurien.Proxy(redis_server, protocol="redis", handler="error", expect=["error>=1"]):
        _ = 1 / 0


def test_a_program_that_has_ended_is_told(redis_server):
    with pytest.raises(vaurien.VaurienError, match=r"exit code -9; its standard error ends with:(.|\n)* ready: 127\.0\.0\.1"):
        with vaurien.Proxy(redis_server) as proxy:
            os.kill(proxy._program._process.pid, 9)
            proxy._program._process.wait()
            with pytest.raises(vaurien.VaurienError, match="vaurien has ended with exit code -9"):
                proxy.counts()

"""The pytest plugin, in test runs of its own."""

import json
import os
import re
import subprocess
import sys
import textwrap
from xml.etree import ElementTree

import pytest

from vaurien._program import find

# What a test needs of redis-py.
CLIENT = """
import pytest, redis
REDIS = {address!r}
def client(proxy):
    return redis.Redis.from_url(proxy.url, retry=None, protocol=2, driver_info=None)
"""


@pytest.fixture
def run(pytester, redis_server):
    """Runs pytest with these tests and options, without the settings around it."""

    def run(tests, *options):
        pytester.makepyfile(CLIENT.format(address=redis_server) + textwrap.dedent(tests))
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *options)

    return run


@pytest.fixture(autouse=True)
def alone(monkeypatch):
    for name in ["VAURIEN_SEED", "VAURIEN_GIVEN"]:
        monkeypatch.delenv(name, raising=False)


def test_a_proxy_ends_with_its_test(run):
    run("""
        proxies = []

        def test_one(vaurien):
            proxies.append(vaurien(REDIS, protocol="redis"))
            assert client(proxies[0]).ping()

        def test_two():
            assert proxies[0]._program.has_ended()
    """).assert_outcomes(passed=2)


def test_the_marker_gives_handler_rules_and_seed(run):
    run("""
        @pytest.mark.chaos("10:error", "GET a => error(kind=readonly)", "GET b => miss", seed=7)
        def test_it(vaurien, chaos_seed):
            proxy = vaurien(REDIS, protocol="redis", rules=["GET * => error"])
            assert (proxy.handler, proxy.seed, chaos_seed) == ("10:error", 7, 7)
            assert [rule.text for rule in proxy.rules.list()][1:] == ["GET b => miss", "GET * => error"]
            with pytest.raises(redis.ReadOnlyError):
                client(proxy).get("a")
            assert vaurien(REDIS, protocol="redis", handler="hang", seed=8, allow_no_calls=True).handler == "hang"
    """).assert_outcomes(passed=1)


def test_the_seed_is_in_the_header_and_is_the_same_in_all_tests(run):
    tests = """
        def test_one(vaurien, chaos_seed):
            assert vaurien(REDIS).seed == chaos_seed == 42

        @pytest.mark.chaos(seed=7)
        def test_two(chaos_seed):
            assert chaos_seed == 7
    """
    result = run(tests, "--chaos-seed=42")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["vaurien: --chaos-seed 42"])


def test_without_one_the_seed_is_random_or_that_of_a_vaurien_around_it(run, monkeypatch):
    tests = "def test_it(chaos_seed): pass"
    seeds = [re.search(r"vaurien: --chaos-seed (\d+)", str(run(tests).stdout))[1] for _ in range(2)]
    assert seeds[0] != seeds[1]
    monkeypatch.setenv("VAURIEN_SEED", "77")
    run(tests).stdout.fnmatch_lines(["vaurien: --chaos-seed 77"])


def test_chaos_tests_are_repeated_with_the_next_seeds(run):
    tests = """
        @pytest.mark.parametrize("x", ["a"])
        @pytest.mark.chaos
        def test_marked(x):
            pass

        @pytest.mark.chaos(seed=7)
        def test_pinned(vaurien):
            vaurien(REDIS)

        def test_seeded(chaos_seed):
            pass

        def test_other():
            pass
    """
    result = run(tests, "--chaos-seed=42", "--chaos-repeat=2", "-v")
    result.assert_outcomes(passed=7)
    result.stdout.fnmatch_lines(["vaurien: --chaos-seed 42 --chaos-repeat 2"])
    ran = re.findall(r"::(\S+) PASSED", str(result.stdout))
    assert ran == [
        *("test_marked[a-seed42]", "test_marked[a-seed43]", "test_pinned[seed7]", "test_pinned[seed8]"),
        *("test_seeded[seed42]", "test_seeded[seed43]", "test_other"),
    ] or sorted(ran) == sorted(
        [
            *("test_marked[seed42-a]", "test_marked[seed43-a]", "test_pinned[seed7]", "test_pinned[seed8]"),
            *("test_seeded[seed42]", "test_seeded[seed43]", "test_other"),
        ]
    )


FAILS = """
        @pytest.mark.chaos("error(kind=readonly)")
        def test_it(vaurien):
            proxy = vaurien(REDIS, protocol="redis")
            with client(proxy) as redis_client:
                for number in range(21):
                    with pytest.raises(redis.ReadOnlyError):
                        redis_client.set(f"user:{number}", 1)
                redis_client.get("a")
"""


def test_a_failure_tells_the_seed_and_the_faults(run):
    result = run(FAILS, "--chaos-seed=42", "--chaos-repeat=2")
    result.assert_outcomes(failed=2)
    result.stdout.fnmatch_lines(
        [
            "*- vaurien -*",
            "seed 43, again: pytest --chaos-seed 42 --chaos-repeat 2 '*::test_it[[]seed43[]]'",
            "redis://127.0.0.1:*: 22 calls, 22 faults",
            "  connection 1, call 3: SET user:2, error, answer",
            "*",
            "  connection 1, call 22: GET a, error, answer",
            "  the last 20 of 22 faults",
        ]
    )
    assert "call 2: SET user:1" not in str(result.stdout)


def test_the_line_of_a_failure_repeats_it(run, pytester):
    result = run(FAILS, "--chaos-seed=42", "--chaos-repeat=3")
    again = re.search(r"seed 44, again: pytest (.*) '(.*)'", str(result.stdout))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", *again[1].split(), again[2])
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["seed 44, again: *"])


def test_a_failure_in_a_fixture_tells_it_too(run):
    result = run("""
        @pytest.fixture
        def broken(vaurien):
            client(vaurien(REDIS, protocol="redis", handler="error(kind=oom)")).get("a")

        def test_it(broken):
            pass
    """)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["seed *, again: pytest --chaos-seed *", "  connection 1, call 1: GET a, error, answer"])


def test_a_program_that_has_ended_is_told_in_the_failure(run):
    result = run("""
        def test_it(vaurien):
            vaurien(REDIS)._program._process.kill()
            vaurien.proxies[0]._program._process.wait()
            assert False
    """)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["tcp://*: vaurien has ended with exit code -9*"])


def test_chaos_without_a_call_fails_a_test_that_passes(run):
    result = run("""
        @pytest.mark.chaos("50:error")
        def test_passes(vaurien):
            vaurien(REDIS, protocol="redis")

        @pytest.mark.chaos("50:error")
        def test_fails(vaurien):
            vaurien(REDIS, protocol="redis")
            assert False

        @pytest.mark.chaos("50:error")
        def test_skips(vaurien):
            vaurien(REDIS, protocol="redis")
            pytest.skip()

        @pytest.mark.chaos("50:error")
        def test_accepts(vaurien):
            vaurien(REDIS, protocol="redis", allow_no_calls=True)
    """)
    result.assert_outcomes(passed=2, errors=1, failed=1, skipped=1)
    result.stdout.fnmatch_lines(["*ExpectationError: expected calls>=1: NOT met, 0; handler 50:error met no call: *"])
    assert str(result.stdout).count("again: pytest") == 1, "what has ended tells no faults"


def test_two_handlers_in_a_marker_are_a_mistake(run):
    result = run("""
        @pytest.mark.chaos("10:error", "hang")
        def test_it(vaurien):
            pass
    """)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: *::test_it: marker `chaos`: it takes one handler or mix and any rules, not 2 handlers"])


@pytest.mark.parametrize(
    ("marker", "told"),
    [
        ("'error', sed=7", "unknown keyword `sed`, did you mean `seed`?"),
        ("'error', handler='hang'", "unknown keyword `handler`: it has `seed`"),
        ("seed='x'", "seed: `'x'` is not a whole number from 0 up"),
        ("seed=-1", "seed: `-1` is not a whole number from 0 up"),
        ("30", "`30` is not a text"),
    ],
)
@pytest.mark.parametrize("options", [(), ("--chaos-repeat=2",)])
def test_a_mistake_in_a_marker_is_told_at_the_start(run, marker, told, options):
    result = run(
        f"""
        @pytest.mark.chaos({marker})
        def test_it(vaurien):
            pass
    """,
        *options,
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert f"::test_it: marker `chaos`: {told}" in str(result.stderr)
    assert "INTERNALERROR" not in str(result.stdout)


def test_a_mistake_in_a_marker_fails_the_test_of_a_worker(run):
    result = run(
        """
        @pytest.mark.chaos("error", sed=7)
        def test_it(vaurien):
            pass

        @pytest.mark.chaos("error", sed=7)
        def test_other():
            pass
    """,
        "-n2",
    )
    result.assert_outcomes(errors=1, failed=1)
    told = r"^E +\S*UsageError: .*unknown keyword `sed`, did you mean `seed`\?$"
    assert len(re.findall(told, str(result.stdout), re.MULTILINE)) == 2


@pytest.mark.parametrize(
    ("options", "seed", "told"),
    [
        ([], "abc", "ERROR: VAURIEN_SEED: `abc` is not a whole number from 0 up"),
        (["--chaos-repeat=0"], "1", "*--chaos-repeat: `0` is not a whole number from 1 up"),
        (["--chaos-seed=-1"], "1", "*--chaos-seed: `-1` is not a whole number from 0 up"),
    ],
)
def test_a_wrong_number_is_told_at_the_start(run, monkeypatch, options, seed, told):
    monkeypatch.setenv("VAURIEN_SEED", seed)
    result = run("def test_it(): pass", *options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([told])


def test_markers_add_up(run):
    run("""
        pytestmark = pytest.mark.chaos("10:error", "GET module => miss", seed=1)

        @pytest.mark.chaos("20:error", "GET class => miss", seed=2)
        class TestIt:
            @pytest.mark.chaos("GET function => miss")
            def test_it(self, vaurien):
                proxy = vaurien(REDIS, protocol="redis", allow_no_calls=True)
                assert (proxy.handler, proxy.seed) == ("20:error", 2)
                rules = [rule.text for rule in proxy.rules.list()]
                assert rules == ["GET function => miss", "GET class => miss", "GET module => miss"]
    """).assert_outcomes(passed=1)


def test_an_arrow_makes_a_rule(run):
    result = run("""
        @pytest.mark.chaos("GET user:* -> error")
        def test_thin(vaurien):
            vaurien(REDIS, protocol="redis")

        @pytest.mark.chaos("GET user:* → error")
        def test_letter(vaurien):
            vaurien(REDIS, protocol="redis")

        @pytest.mark.chaos('error(kind=err, message="a => b")')
        def test_quoted(vaurien):
            assert vaurien(REDIS, protocol="redis", allow_no_calls=True).handler == 'error(kind=err, message="a => b")'
    """)
    result.assert_outcomes(passed=1, failed=2)
    for arrow in ["->", "→"]:
        assert f"write `=>` before the handler in place of `{arrow}`" in str(result.stdout)


def test_a_marker_without_a_proxy_of_the_fixture_is_an_error(run):
    result = run("""
        import vaurien as package

        @pytest.mark.chaos("error(kind=oom)")
        def test_own():
            with package.Proxy(REDIS, protocol="redis") as proxy:
                assert client(proxy).ping()

        @pytest.mark.chaos("GET => miss")
        def test_none(vaurien):
            pass

        @pytest.mark.chaos("GET => miss")
        def test_skips():
            pytest.skip()

        @pytest.mark.chaos(seed=7)
        def test_seed():
            pass
    """)
    result.assert_outcomes(failed=2, skipped=1, passed=1)
    told = "the marker `chaos` has given its faults to no proxy: make it with the fixture `vaurien` or `async_vaurien`"
    assert str(result.stdout).count(f"\n{told}\n") == 2


def test_asyncio_has_a_fixture_of_its_own(run):
    result = run("""
        import asyncio
        from redis.asyncio import Redis

        async def use(factory):
            proxy = await factory(REDIS, protocol="redis")
            async with Redis.from_url(proxy.url, retry=None, protocol=2, driver_info=None) as redis_client:
                await redis_client.get("a")

        @pytest.mark.chaos("error(kind=oom)")
        def test_fails(async_vaurien):
            asyncio.run(use(async_vaurien))

        @pytest.mark.chaos("GET => miss", seed=7)
        def test_passes(async_vaurien):
            asyncio.run(use(async_vaurien))
            assert async_vaurien.proxies[0].seed == 7

        @pytest.mark.chaos("SET => miss")
        def test_no_calls(async_vaurien):
            async def main():
                await async_vaurien(REDIS, protocol="redis")
            asyncio.run(main())

        def test_ended():
            assert ended and ended[0].has_ended()

        ended = []

        @pytest.fixture(autouse=True)
        def note(request):
            yield
            for factory in [request.node.funcargs[name] for name in request.fixturenames if name == "async_vaurien"]:
                ended.extend(proxy._program for proxy in factory.proxies)
    """)
    result.assert_outcomes(failed=1, passed=3, errors=1)
    result.stdout.fnmatch_lines(["redis://127.0.0.1:*: 1 call, 1 fault", "  connection 1, call 1: GET a, error, answer"])
    result.stdout.fnmatch_lines(["*ExpectationError: expected calls>=1: NOT met, 0; * met no call: *"])


def test_chaos_that_did_nothing_is_warned_of(run):
    tests = """
        @pytest.mark.chaos("GET => miss")
        def test_passes(vaurien):
            client(vaurien(REDIS, protocol="redis")).ping()

        @pytest.mark.chaos("GET => miss")
        def test_fails(vaurien):
            client(vaurien(REDIS, protocol="redis")).ping()
            assert False
    """
    result = run(tests)
    result.assert_outcomes(passed=1, failed=1, warnings=1)
    result.stdout.fnmatch_lines(["*::test_passes", "*VaurienWarning: rule `rule-1` matched no call: GET => miss"])
    run(tests, "-W", "error::vaurien.VaurienWarning").assert_outcomes(passed=1, failed=1, errors=1)


INTERRUPTED = """
        @pytest.mark.chaos("error(kind=readonly)")
        def test_it(vaurien):
            with client(vaurien(REDIS, protocol="redis")) as redis_client, pytest.raises(redis.ReadOnlyError):
                redis_client.set("a", 1)
            raise {error}

        def test_two(vaurien):
            pass
"""


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "pytest.exit.Exception('enough')"])
@pytest.mark.parametrize("options", [(), ("-q",)])
def test_ctrl_c_tells_the_seed_and_the_faults(run, error, options):
    result = run(INTERRUPTED.format(error=error), "--chaos-seed=42", *options)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(
        [
            "*= vaurien =*",
            "interrupted: *::test_it",
            "seed 42, again: pytest --chaos-seed 42 *::test_it",
            "redis://127.0.0.1:*: 1 call, 1 fault",
            "  connection 1, call 1: SET a, error, answer",
        ]
    )


def test_a_failure_with_the_seed_alone_tells_it(run):
    result = run(
        """
        import vaurien as package

        def test_own(chaos_seed):
            with package.Proxy(REDIS, protocol="redis", handler="error(kind=oom)", seed=chaos_seed) as proxy:
                client(proxy).get("a")

        def test_random(chaos_seed):
            assert False
    """,
        "-q",
        "--chaos-seed=42",
    )
    result.assert_outcomes(failed=2)
    for name in ["own", "random"]:
        result.stdout.fnmatch_lines([f"seed 42, again: pytest --chaos-seed 42 *::test_{name}"])


def test_junit_has_the_seed_and_the_faults(run, pytester):
    run(FAILS, "--chaos-seed=42", "--junitxml=junit.xml").assert_outcomes(failed=1)
    properties = {
        element.get("name"): element.get("value") for element in ElementTree.parse(pytester.path / "junit.xml").iter("property")
    }
    assert (properties["chaos_seed"], properties["chaos_faults"]) == ("42", "22")
    assert "seed 42, again: pytest" in properties["vaurien"] and "call 22: GET a, error" in properties["vaurien"]


def test_the_line_is_for_where_pytest_was_started(pytester, redis_server, monkeypatch):
    pytester.makeini("[pytest]")
    folder = pytester.mkdir("tests")
    (folder / "test_deep.py").write_text("def test_it(chaos_seed): assert False")
    monkeypatch.chdir(folder)
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--chaos-seed=42")
    result.stdout.fnmatch_lines(["seed 42, again: pytest --chaos-seed 42 test_deep.py::test_it"])


@pytest.mark.parametrize(("options", "outcome"), [((), "1 passed, 1 warning in"), (("-W", "error"), "1 error in")])
def test_a_vaurien_around_them_that_refuses_labels_is_warned_of(pytester, redis_server, options, outcome):
    pytester.makepyfile("def test_it(): pass")
    command = [find(), "--http", "--http-token", "secret", "--backend", redis_server, "--", sys.executable, "-m", "pytest"]
    command += ["-p", "no:cacheprovider", *options]
    result = subprocess.run(command, capture_output=True, text=True, cwd=pytester.path)
    assert outcome in result.stdout, result.stdout
    assert "VaurienWarning: the calls of this test have no label: " in result.stdout


def test_tests_label_their_calls_at_a_vaurien_around_them(pytester, redis_server, tmp_path):
    test = pytester.makepyfile(
        CLIENT.format(address="unused")
        + textwrap.dedent("""
        import os
        import vaurien as package

        @pytest.mark.parametrize("number", [1, 2])
        def test_it(number):
            assert package.connect().handler == "miss"
            redis.Redis.from_url("redis://" + os.environ["VAURIEN_PROXY"], protocol=2, driver_info=None).get("a")
    """)
    )
    report = tmp_path / "report.json"
    command = [find(), "--http", "--protocol", "redis", "--backend", redis_server]
    command += ["--handler", "miss", "--report", str(report), "--", sys.executable, "-m", "pytest"]
    environment = {**os.environ, "VAURIEN_HTTP_TOKEN": "secret"}
    for options, names in [(["-p", "no:cacheprovider"], ["1", "2"]), (["-n2"], [])]:
        result = subprocess.run([*command, *options], capture_output=True, text=True, cwd=pytester.path, env=environment)
        assert "2 passed" in result.stdout, result.stdout + result.stderr
        header = "no test labels its calls there, since" if not names else "tests label their calls there"
        assert re.search(f"vaurien: HTTP API on http://.*, {header}", result.stdout)
        labels = json.loads(report.read_text())["runs"][0].get("labels", [])
        names = [f"{test.name}::test_it[{name}]" for name in names]
        assert [(label["label"], label["calls"]) for label in labels] == [(name, 1) for name in names]


def test_events_have_the_name_of_the_test(run):
    run(
        """
        @pytest.mark.parametrize("text", ["", ""], ids=["short", "é" * 300])
        def test_pay(vaurien, request, text):
            proxy = vaurien(REDIS, protocol="redis", handler="error(kind=oom)")
            with pytest.raises(redis.OutOfMemoryError):
                client(proxy).get("a")
            label = proxy.events()[-1].label
            assert request.node.nodeid == label or request.node.nodeid[-128:] == label
    """,
        "-o",
        "disable_test_id_escaping_and_forfeit_all_rights_to_community_support=true",
    ).assert_outcomes(passed=2)


def test_workers_have_the_same_seed(run):
    tests = """
        @pytest.mark.parametrize("number", range(4))
        @pytest.mark.chaos("error(kind=oom)")
        def test_it(vaurien, number):
            client(vaurien(REDIS, protocol="redis")).get("a")
    """
    result = run(tests, "-n2", "--chaos-repeat=2")
    result.assert_outcomes(failed=8)
    first = int(re.search(r"vaurien: --chaos-seed (\d+)", str(result.stdout))[1])
    seeds = re.findall(r"seed (\d+), again: pytest --chaos-seed (\d+)", str(result.stdout))
    assert sorted(seeds) == sorted((str(first + run), str(first)) for run in range(2) for _ in range(4))


def test_the_marker_is_known_and_the_plugin_warns_of_nothing(run):
    tests = """
        @pytest.mark.chaos("miss")
        def test_it(vaurien):
            with client(vaurien(REDIS, protocol="redis")) as redis_client:
                redis_client.get("a")
    """
    run(tests, "--strict-markers", "-W", "error").assert_outcomes(passed=1)

"""The pytest plugin, in test runs of its own."""

import re
import textwrap

import pytest

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
    monkeypatch.delenv("VAURIEN_SEED", raising=False)


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
        @pytest.mark.chaos("30:error")
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
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*takes one handler or mix and any rules, not 2 handlers*"])


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

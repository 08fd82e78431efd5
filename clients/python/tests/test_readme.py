"""The code in README.md does what it says."""

import os
import pathlib
import re
import subprocess
import sys

import pytest

import vaurien

FOLDER = pathlib.Path(__file__).parents[1]
README = (FOLDER / "README.md").read_text()
BLOCKS = re.findall(r"^( *)```(\w+)\n(.*?)^ *```$", README, re.MULTILINE | re.DOTALL)


def blocks(language):
    return [re.sub(f"^{indent}", "", text, flags=re.MULTILINE) for indent, name, text in BLOCKS if name == language]


PYTHON = blocks("python")


@pytest.mark.filterwarnings("ignore::vaurien.VaurienWarning")
@pytest.mark.parametrize("code", [code for code in PYTHON if "def test_" not in code])
def test_a_program_runs(code, redis_server):
    with vaurien.Proxy(redis_server, protocol="redis") as running:
        code = code.replace("localhost:6379", redis_server).replace("localhost:8080", running.api_url.split("//")[1])
        exec(compile(code, "README.md", "exec"), {})


def test_a_test_fails_as_it_is_quoted(redis_server, pytester):
    [code] = [code for code in PYTHON if "def test_" in code]
    pytester.makepyfile(test_cart=code.replace("localhost:6379", redis_server))
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--chaos-seed", "42")
    result.assert_outcomes(failed=1)
    quoted = [re.sub(r"127\.0\.0\.1:\d+", "127.0.0.1:*", line) for line in blocks("text")[0].splitlines()]
    result.stdout.fnmatch_lines(quoted, consecutive=True)


def test_one_report_has_all_tests(redis_server, pytester):
    client = "redis.Redis.from_url('redis://' + os.environ['VAURIEN_PROXY'], protocol=2, driver_info=None)"
    test = pytester.makepyfile(f"import os, redis\n\ndef test_it():\n    {client}.get('a')")
    command = blocks("sh")[1].replace("localhost:6379", redis_server)
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    subprocess.run(["sh", "-c", command], check=True, cwd=pytester.path, env={**os.environ, "PATH": path})
    assert f"{test.name}::test_it" in (pytester.path / "report.html").read_text()


def test_what_is_installed_and_built_has_these_names():
    install, _, build = (text.strip() for text in blocks("sh"))
    name = re.search('^name = "(.*)"$', (FOLDER / "pyproject.toml").read_text(), re.MULTILINE)
    assert install == f"pip install {name[1]}"
    page = (FOLDER / "../../docs/install.md").read_text().replace("\\\n    ", "")
    assert f"/{build} --out" in page


def test_all_blocks_are_tested():
    assert sorted(name for _, name, _ in BLOCKS) == ["python"] * 5 + ["sh"] * 3 + ["text"]


def test_links_resolve():
    links = re.findall(r"\]\((?!https://)([^)#]+)", README)
    assert links and all((FOLDER / link).exists() for link in links)

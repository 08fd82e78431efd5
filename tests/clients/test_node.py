"""The clients of Node: each has a file of tests for Node's own runner."""

import pathlib
import subprocess

import pytest
from world import ENVIRONMENT, vaurien

FILES = sorted(pathlib.Path(__file__).parent.glob("*.test.js"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_node_runs(file, redis_server):
    with vaurien(redis_server, "redis") as proxy:
        where = {name: proxy.ready[name] for name in ("VAURIEN_PROXY", "VAURIEN_HTTP")}
        environment = {**ENVIRONMENT, **where, "BACKEND": "{}:{}".format(*redis_server)}
        done = subprocess.run(["node", "--test", file], env=environment, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stdout + done.stderr
        # A file without a test would succeed as well.
        assert proxy.faults("error") > 14

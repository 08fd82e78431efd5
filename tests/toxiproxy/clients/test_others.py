"""The clients for Node, each with a file for Node's own runner, and those for Rust."""

import os
import pathlib
import subprocess

import pytest
from world import ENVIRONMENT

FILES = sorted(pathlib.Path(__file__).parent.glob("*.test.js"))


def run(command, api, backend):
    where = {"TOXIPROXY": f"127.0.0.1:{api}", "BACKEND": f"127.0.0.1:{backend}"}
    return subprocess.run(command, env=ENVIRONMENT | where, capture_output=True, text=True, timeout=90)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_what_node_runs(file, api, backend):
    done = run(["node", "--test", file], api, backend)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("client", ["toxiproxy_rust", "noxious_client"])
def test_what_rust_runs(client, api, backend):
    done = run([os.environ["RUST_CLIENTS"], client], api, backend)
    assert done.returncode == 0 and done.stdout == f"{client}: all is right\n", done.stdout + done.stderr

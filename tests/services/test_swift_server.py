"""The S3 service of the tests listens only on loopback and ends with its parent."""

import signal
import subprocess
import sys

import psutil

from tests.conftest import at_hand
from tests.services import swift_server

START = """
import sys, pathlib
from tests.services.swift_server import SwiftServer
server = SwiftServer(pathlib.Path(sys.argv[1]))
print(server.pid, flush=True)
sys.stdin.read()
"""


def test_server_listens_to_this_machine_only_and_ends_with_its_parent(tmp_path):
    at_hand("swift")
    with subprocess.Popen(
        [sys.executable, "-c", START, tmp_path / "swift"],
        cwd=swift_server.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        inside = psutil.Process(int(parent.stdout.readline()))
        listening = [
            connection.laddr
            for connection in inside.net_connections()
            if connection.status == "LISTEN"
        ]
        assert {address.ip for address in listening} == {"127.0.0.1"}
        assert len(listening) == 4  # the proxy and three storage servers
        assert inside.children() == []
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs([inside], timeout=10)[1] == []


def test_failed_start_names_the_reason(tmp_path):
    at_hand("swift")
    (tmp_path / "swift").mkdir()
    (tmp_path / "swift/disks").write_bytes(b"")
    ended = subprocess.run(
        [sys.executable, "-m", "tests.services.swift_inside", tmp_path / "swift"],
        cwd=swift_server.ROOT,
        input=b"secret\n",
        capture_output=True,
    )
    assert ended.returncode == 1
    assert b"disks" in ended.stderr

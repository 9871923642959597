"""The MariaDB server of the tests ends with its parent and keeps its data after a restart."""

import os
import subprocess
import sys
import time

import psutil

from tests.conftest import at_hand
from tests.services.mariadb_server import MariaDBServer

START = """
import sys, pathlib
from tests.services.mariadb_server import MariaDBServer
server = MariaDBServer(pathlib.Path(sys.argv[1]))
print(server.group, flush=True)
sys.stdin.read()
"""


def members(group):
    """Return the running processes of a group."""
    running = []
    for process in psutil.process_iter(["status"]):
        try:
            if os.getpgid(process.pid) == group and process.info["status"] != "zombie":
                running.append(process)
        except ProcessLookupError:
            continue
    return running


def test_server_ends_with_the_process_that_started_it(tmp_path_factory):
    at_hand("mariadb")
    folder = tmp_path_factory.mktemp("m")
    owner = subprocess.Popen(
        [sys.executable, "-c", START, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    group = int(owner.stdout.readline())
    assert {process.name() for process in members(group)} >= {"mariadbd"}
    owner.kill()
    owner.communicate()
    ends = time.monotonic() + 30
    while members(group) and time.monotonic() < ends:
        pass
    assert members(group) == []


def test_data_survives_a_restart(mariadb: MariaDBServer):
    mariadb.url("restarted")
    mariadb.restart()
    assert ("restarted",) in mariadb.run("SHOW DATABASES")
    mariadb.drop("restarted")

"""A real MariaDB server of Debian's mariadb-server, in a separate folder."""

import os
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

PASSWORD = "Über-geheim'%s"  # noqa: S105  # what a naive driver or formatter would trip over
USER = "imgsearch"
# runs a server until its input ends, which happens when the parent process ends
_WATCHED = ("sh", "-c", '"$@" & read -r _; kill -9 $!; wait', "sh")
_START = 60  # seconds that a server may take to answer, on a busy machine


def unavailable() -> str:
    """Return the reason why no server can start here, or ""."""
    missing = [name for name in ("mariadbd", "mariadb-install-db") if not _program(name)]
    if missing:
        return f"no {' and no '.join(missing)}: apt-get install mariadb-server"
    return "" if find_spec("pymysql") else "pymysql is not installed: pip install '.[mysql]'"


def _program(name: str) -> str | None:
    """Return the path of a program; Debian installs servers outside the users' PATH."""
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


class MariaDBServer:
    """A running server on loopback. `url(name)` creates a database and returns its URL.

    It ends on `close` and with this process, even after a kill. Its data is in `folder`, and is
    not synced to the disk.

    Raises:
        RuntimeError: it did not start; the message names its log.
    """

    password = PASSWORD

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.log = folder / "server.log"
        self._socket = folder / "s"  # a socket's path has at most 107 bytes
        self._made: set[str] = set()
        if len(str(self._socket)) > 100:
            raise RuntimeError(f"the folder's path is too long for a socket: {folder}")
        self._install()
        self.port = _free_port()
        self._process = self._start()
        try:
            self._wait()
            self._grant()
        except BaseException:
            self.close()
            raise

    def url(self, name: str) -> str:
        """Return the URL of a database, which is created if missing."""
        if name not in self._made:
            self.run(f"CREATE DATABASE IF NOT EXISTS {name}")
            self._made.add(name)
        return f"mysql://{USER}@127.0.0.1:{self.port}/{name}"

    def drop(self, name: str) -> None:
        """Drop a database that `url` created."""
        self.run(f"DROP DATABASE {name}")
        self._made.remove(name)

    def run(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement as the server's root; return its rows."""
        with self._root() as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    @property
    def group(self) -> int:
        """The process group of the server and its watcher."""
        return self._process.pid

    def restart(self) -> None:
        """Kill the server, and start it again with its data on the same port."""
        self.close()
        self._socket.unlink(missing_ok=True)  # the dying server still accepts there for a moment
        self._process = self._start()
        self._wait()

    def close(self) -> None:
        """Kill the server without warning, also one that is stopped. Idempotent."""
        with self._process as process:  # closes the pipe and waits
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def _root(self) -> Any:
        import pymysql

        return pymysql.connect(unix_socket=str(self._socket), user="root", autocommit=True)

    def _install(self) -> None:
        command = [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--skip-name-resolve",
            *_as_root(),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            self.log.write_text(done.stdout + done.stderr)
            raise RuntimeError(f"MariaDB was not installed; see {self.log}")

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [
            *_WATCHED,
            _program("mariadbd"),
            "--no-defaults",
            f"--datadir={self.folder / 'data'}",
            f"--socket={self._socket}",
            f"--pid-file={self.folder / 'pid'}",
            f"--port={self.port}",
            "--bind-address=127.0.0.1",
            "--skip-name-resolve",
            "--skip-log-bin",
            "--innodb-flush-log-at-trx-commit=2",
            "--innodb-flush-method=nosync",
            "--innodb-doublewrite=0",
            "--innodb-buffer-pool-size=64M",
            "--innodb-log-file-size=32M",
            "--performance-schema=0",
            *_as_root(),
        ]
        with self.log.open("ab") as log:
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True
            )

    def _wait(self) -> None:
        ends = time.monotonic() + _START
        while time.monotonic() < ends and self._process.poll() is None:
            with suppress(OSError), socket.socket(socket.AF_UNIX) as tried:
                tried.connect(str(self._socket))
                return
            time.sleep(0.05)  # the server does not signal when it is ready
        raise RuntimeError(f"MariaDB did not start; see {self.log}")

    def _grant(self) -> None:
        with self._root() as connection, connection.cursor() as cursor:
            cursor.execute("CREATE USER %s@'127.0.0.1' IDENTIFIED BY %s", (USER, PASSWORD))
            cursor.execute("GRANT ALL ON *.* TO %s@'127.0.0.1'", (USER,))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _as_root() -> list[str]:
    """Return the option that lets root run a server."""
    return ["--user=root"] if os.geteuid() == 0 else []


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])

"""OpenStack Swift from PyPI: a real S3 service that checks credentials."""

import os
import secrets
import subprocess
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
KEY = "admin:admin"


def unavailable() -> str:
    """Return the reason why no server can start here, or ""."""
    if find_spec("swift") is None or find_spec("eventlet") is None:
        return "OpenStack Swift is not installed: pip install swift==2.38.3"
    with tempfile.NamedTemporaryFile() as file:
        try:
            os.setxattr(file.name, "user.swift", b"1")
        except OSError:
            return "the temporary folder keeps no extended attributes, which Swift needs"
    return ""


class SwiftServer:
    """A running server at `endpoint`, for this machine only, with `key` and `secret`.

    It ends on `close` and with this process, even after a kill. Its data is in `folder`, which is
    created. `restart` starts it again with its data, at another endpoint.

    Raises:
        RuntimeError: it did not start; the message names its log.
    """

    key = KEY

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self.secret = secrets.token_urlsafe()
        self._start()

    def restart(self) -> None:
        """Kill the server, and start it again with its data and its secret."""
        self.close()
        self._start()

    def _start(self) -> None:
        folder = self._folder
        with (folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                # -W: eventlet warns of its deprecation, asyncio of eventlet's calls
                [sys.executable, "-W", "ignore", "-m", "tests.services.swift_inside", str(folder)],
                cwd=ROOT,
                stdin=subprocess.PIPE,  # its end stops the server when this process ends
                stdout=subprocess.PIPE,
                stderr=log,
            )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self.secret}\n".encode())
        self._process.stdin.flush()
        word, _, port = self._process.stdout.readline().decode().strip().partition(" ")
        if word != "ready":
            self.close()
            raise RuntimeError(f"Swift did not start; see {folder}/log")
        self.endpoint = f"http://127.0.0.1:{port}"

    @property
    def pid(self) -> int:
        return self._process.pid

    def close(self) -> None:
        """Kill the server. Idempotent."""
        with self._process as process:  # closes the pipes and waits
            process.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

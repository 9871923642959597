"""The real Milvus server, `milvus` from PyPI, in its own network namespace."""

import os
import signal
import socket
import subprocess
import sys
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Self

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "root:Milvus"  # noqa: S105  # what Milvus is shipped with
_NAMESPACES = (("unshare", "-n"), ("unshare", "-rn"))  # as root; as any user, if allowed


def unavailable() -> str:
    """Return the reason why no server can start here, or ""."""
    if find_spec("milvus") is None:
        return "the milvus package is not installed: pip install milvus==2.3.5"
    return "" if _namespace() else "neither root nor user may make a network namespace (unshare)"


@cache
def _namespace() -> tuple[str, ...]:
    """Return the command that runs another in a network namespace, or () if not permitted."""
    for command in _NAMESPACES:
        try:
            # tries Python itself, because root's files are unreadable in a user's namespace
            tried = subprocess.run([*command, sys.executable, "-c", ""], capture_output=True)
        except FileNotFoundError:  # unshare is missing
            break
        if not tried.returncode:
            return command
    return ()


class MilvusServer:
    """A running server with authentication; `url` is reachable from this machine only.

    It ends on `close` and with this process, even after a kill. Its data is in `folder`; a server
    that was closed starts again with its data, and at the same `port` if it is given. It then waits
    until the lease of the killed one, in seconds, has expired.

    Raises:
        RuntimeError: it did not start; the message names its logs.
    """

    token = TOKEN

    def __init__(self, folder: Path, *, port: int = 0, lease: int = 600) -> None:
        self.folder, self._lease = folder, lease
        self._start(port)

    def restart(self) -> None:
        """Kill the server, and start it again with its data on the same port."""
        self.close()
        self._start(self.port)

    def _start(self, port: int) -> None:
        with socket.create_server(("127.0.0.1", port), backlog=128) as listener:
            self.port = int(listener.getsockname()[1])
            self.url = f"milvus://127.0.0.1:{self.port}/default"
            self._process = subprocess.Popen(
                [*_namespace(), sys.executable, "-m", "tests.services.milvus_inside",
                 str(self.folder), str(listener.fileno()), str(self._lease)],
                cwd=ROOT,
                stdin=subprocess.PIPE,  # its end stops the server when this process ends
                stdout=subprocess.PIPE,
                pass_fds=[listener.fileno()],
                start_new_session=True,  # a separate group, which is killed as a whole
            )  # fmt: skip
        assert self._process.stdout is not None
        if self._process.stdout.readline() != b"ready\n":
            self.close()
            raise RuntimeError(f"Milvus did not start; see {self.folder}/logs")

    @property
    def group(self) -> int:
        """The process group of the server and its relay."""
        return self._process.pid

    def close(self) -> None:
        """Kill the server, because it ignores SIGTERM once a collection is loaded. Idempotent."""
        with self._process as process:  # closes the pipes and waits
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

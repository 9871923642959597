"""Runs the service as a process: repairs the archive, opens sockets, handles signals, exits."""

import asyncio
import ipaddress
import logging
import math
import os
import socket
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any, Final, cast

import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.responses import RedirectResponse
from typing_extensions import override

from imgsearch.archive import Archive, Jobs, KeyRow, Repaired
from imgsearch.archive.access import Keys, Scope
from imgsearch.errors import ConfigError
from imgsearch.images.urls import UrlLimits, fetcher
from imgsearch.service.app import create_app
from imgsearch.service.connections import (
    Notice,
    accept_failures,
    connections_for,
    raise_descriptors,
)
from imgsearch.service.interpreter import answering
from imgsearch.service.limits import Limits
from imgsearch.service.origins import LOOPBACK, checked
from imgsearch.service.proxies import networks
from imgsearch.service.service import Analyzing, Service

__all__ = [
    "LOOPBACK",
    "check_access",
    "check_open",
    "forced_exit",
    "is_loopback",
    "listening",
    "mend",
    "run",
    "running",
    "server",
    "warm",
]

_BACKLOG: Final = 2_048  # connections that the system queues before they are accepted
# connections accepted per event-loop iteration: the limit is checked between iterations
_ACCEPTED: Final = 64
_GRACE: Final = 15  # seconds for running requests when the service stops
_JOBS: Final = 5.0  # further seconds for jobs, which stop at the signal
_EXIT: Final = 2.0  # further seconds for the threads of the web framework
_FRAMEWORK_THREAD: Final = "AnyIO worker thread"  # the name in anyio 4
_OTHERS: Final = 600.0  # seconds after which no other process can still be adding the image
_log = logging.getLogger(__name__)


def is_loopback(host: str) -> bool:
    """Return whether `host` is a loopback address, reachable from this machine only.

    Raises:
        ConfigError: `host` cannot be resolved.
    """
    try:
        infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as error:
        raise ConfigError(f"--host {host!r} is not an address of this machine") from error
    return all(ipaddress.ip_address(info[4][0]).is_loopback for info in infos)


def check_open(host: str, *, keys: int, no_auth: bool, proxies: Collection[str] = ()) -> None:
    """Check that requests from other machines need a key, and that one of the `keys` exists.

    Raises:
        ConfigError: `no_auth` is used with a non-loopback `host` or behind a proxy; or no key
            exists yet.
    """
    if no_auth and proxies:
        raise ConfigError("--no-auth works on loopback only, and a proxy gives access to others")
    if is_loopback(host):
        if not no_auth and not keys:
            raise ConfigError(
                "no API key exists yet. Create one with `imgsearch keys create NAME`, or give "
                "--no-auth to admit every user of this machine."
            )
        return
    if no_auth:
        raise ConfigError(f"--no-auth works on loopback only, and other machines can reach {host}")
    if not keys:
        raise ConfigError(
            f"other machines can reach {host}, and no API key exists yet. Create one with "
            "`imgsearch keys create NAME`."
        )


def check_access(access: Mapping[str, Any]) -> None:
    """Check the arguments of `running` that decide who may send which requests.

    Raises:
        ConfigError: as for `create_app`.
    """
    checked(access["cors"])
    networks(access["proxies"])
    fetcher(access["url_hosts"], UrlLimits())


def mend(archive: Archive, *, alone: bool) -> Repaired:
    """Finish additions and deletions that a crash interrupted, before requests are accepted.

    If other processes use the same stores (`alone` is False), changes of the last 10 minutes are
    skipped, because those processes may still be making them.

    Raises:
        BackendError, CatalogError, ObjectStoreError, EncoderError: a part of the archive failed.
    """
    repaired = archive.repair(older_than=0.0 if alone else _OTHERS)
    if repaired.anything:
        _log.warning("repaired: %s", repaired)
    for line in repaired.notes:
        _log.warning("%s", line)
    return repaired


def warm(archive: Archive) -> None:
    """Load the encoder, so that the first request does not wait for it.

    Logs advice if the collection is too large for an embedded store.

    Raises:
        EncoderError: the encoder cannot be loaded, or does not match the collection.
    """
    if (library := archive.default()) is not None:
        library.encode(np.zeros((64, 64, 3), dtype=np.uint8))
        archive.log_growth(library.name)


@contextmanager
def running(
    archive: Archive,
    *,
    keys: Keys | None,
    limits: Limits,
    urls: bool = False,
    allowed: Collection[Analyzing] = (),
    url_hosts: Collection[str] = (),
    page: bool = True,
    hosts: Collection[str] | None = None,
    cors: Collection[str] = (),
    proxies: Collection[str] = (),
) -> Iterator[FastAPI]:
    """Provide the application that serves `archive`; its jobs stop at the end of the block.

    With `page`, the web page is served at / if Gradio is installed. `url_hosts` are private host
    names, addresses and networks that jobs may fetch from. For the other arguments see
    `create_app`.

    Raises:
        ConfigError, MissingExtra: as for `create_app`.
    """
    fetch = fetcher(url_hosts, UrlLimits(max_bytes=limits.file_bytes)) if urls else None
    jobs = Jobs(archive, fetch=fetch, most=limits.jobs)
    try:
        app = create_app(
            archive,
            jobs=jobs,
            keys=keys,
            limits=limits,
            fetch=fetch,
            allowed=allowed,
            hosts=hosts,
            cors=cors,
            proxies=proxies,
        )
        if page and find_spec("gradio") is not None:
            from imgsearch import ui

            check = None if keys is None else _check(keys)
            blocks = ui.build(
                archive, jobs, can_write=True, check=check, fetch=fetch, allowed=allowed
            )
            ui.mount(app, blocks, check=check, hosts=tuple(hosts or ()))
        else:
            app.add_api_route("/", _to_docs, include_in_schema=False)
        yield app
    finally:
        jobs.close(seconds=_JOBS)


def run(
    app: FastAPI, *, host: str, port: int, on_start: Callable[[int], None] | None = None
) -> None:
    """Serve until SIGINT or SIGTERM, then finish running requests and return.

    `on_start` is called with the port once requests are accepted. If `port` is 0, the system
    chooses a free one.

    Raises:
        ConfigError: no socket can listen on the address.
    """
    raise_descriptors()
    with listening(host, port) as listener:
        server(app, on_start=on_start).run([listener])


@contextmanager
def forced_exit(seconds: float = _EXIT) -> Iterator[None]:
    """Exit the process after the block if a thread of the web framework hangs.

    The interpreter would wait for such threads, which run the page's events. imgsearch's own
    threads are daemons. Threads started in the block get `seconds` to end.
    """
    others = set(threading.enumerate())
    try:
        yield
    finally:
        ends = time.monotonic() + seconds
        started = set(threading.enumerate()) - others
        threads = [thread for thread in started if thread.name == _FRAMEWORK_THREAD]
        for thread in threads:
            thread.join(max(0.0, ends - time.monotonic()))
        if any(thread.is_alive() for thread in threads):
            _log.warning("the service exits without waiting for threads that hang")
            logging.shutdown()
            os._exit(0)


def server(app: FastAPI, *, on_start: Callable[[int], None] | None = None) -> uvicorn.Server:
    """Return a uvicorn server for `app`; pass its `run` the sockets to listen on."""
    service: Service = app.state.service
    # python_multipart logs a warning for each malformed body
    logging.getLogger("python_multipart").setLevel(logging.ERROR)
    connections = connections_for(service.limits)
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=cast(Any, connections.protocol),  # uvicorn calls it like a protocol class
        ws="none",  # no route uses WebSockets, and their connections would have no deadlines
        backlog=_ACCEPTED,
        timeout_keep_alive=math.ceil(service.limits.idle_seconds),
        log_config=None,  # its lines go to the handlers of the process; see `imgsearch.logs`
        access_log=False,  # it would contain the users' queries
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE,
    )
    return _Server(config, service, on_start)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens on an address.

    Raises:
        ConfigError: no socket can listen on the address.
    """
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.create_server(address[:2], family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigError(f"cannot listen on {host}:{port}: {error.strerror or error}") from error
    # Accepted connections inherit the option. asyncio sets it only on sockets with an explicit
    # protocol number. Without it a small response waits 40 ms for the previous one's ACK.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _check(keys: Keys) -> Callable[[str, str], KeyRow]:
    """Return the key check for the page, which passes scopes as strings."""

    def check(secret: str, scope: str) -> KeyRow:
        return keys.check(secret, cast(Scope, scope))

    return check


def _to_docs() -> RedirectResponse:
    return RedirectResponse("/docs", 307)


class _Server(uvicorn.Server):
    """uvicorn's server; it reports its port on startup and ends progress streams on exit."""

    def __init__(
        self, config: uvicorn.Config, service: Service, on_start: Callable[[int], None] | None
    ) -> None:
        super().__init__(config)
        self._service, self._on_start = service, on_start

    @override
    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        asyncio.get_running_loop().set_exception_handler(accept_failures(Notice()))
        await super().startup(sockets)
        for listener in sockets or ():
            listener.listen(_BACKLOG)  # asyncio set the backlog to `_ACCEPTED`
        if self.started and self._on_start is not None:
            self._on_start(self.servers[0].sockets[0].getsockname()[1])

    @override
    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        with answering():
            await super().serve(sockets)

    @override
    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Return from `serve` after a signal, so that the program can close its resources.

        uvicorn would raise the signal again, and SIGTERM would end the process at once.
        """
        with super().capture_signals():
            try:
                yield
            finally:
                self._captured_signals.clear()

    @override
    def handle_exit(self, sig: int, frame: Any) -> None:
        self._service.process.stopping = True
        self._service.jobs.stop()
        super().handle_exit(sig, frame)

"""Runs inside the server's network namespace: Milvus, and a relay to it.

Milvus 2.3.5 always listens on all interfaces; a namespace has only its own loopback. The only way
in is a listening socket, opened outside on loopback and inherited, because a socket belongs to
the namespace that created it.
"""

import asyncio
import fcntl
import os
import signal
import socket
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

CHUNK = 2**16
# Settings of Milvus, most of them polling intervals, in milliseconds unless noted. With its
# defaults a collection takes 2.5 s to create, 2.5 s to flush and 10 s until searches use its index;
# with these it takes 0.4 s, 0.5 s and 0.3 s. Some are missing in Milvus' configuration file.
SETTINGS = {
    "queryCoord.checkInterval": "100",
    "queryCoord.distPullInterval": "100",
    "queryCoord.checkChannelInterval": "100",
    "queryCoord.checkSegmentInterval": "100",
    "indexCoord.scheduler.interval": "100",
    # seconds: until a new collection is loaded, and from a flush until the index is used
    "queryCoord.updateNextTargetInterval": "0.2",
    "proxy.timeTickInterval": "50",  # a read that must see the latest writes waits for a tick
    # A flush waits until the last allocation has expired. Milvus warns of lost rows if a restart
    # lowers this; these servers begin with it.
    "dataCoord.segment.assignmentExpiration": "100",
}
# Seconds: `common.session.ttl`. A part that does not renew its lease in 30 s is lost for good ("no
# available rootcoord"), which happened at a load of 17 on two cores.
LEASE = 600


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Copy one direction and its end; leave the other direction open."""
    with suppress(ConnectionError):
        while chunk := await reader.read(CHUNK):
            writer.write(chunk)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()


async def relayed(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, host: str, port: int
) -> None:
    """Relay one connection to `host`:`port` until both directions have ended."""
    try:
        remote_reader, remote_writer = await asyncio.open_connection(host, port)
    except OSError:
        writer.close()
        return
    await asyncio.gather(pump(reader, remote_writer), pump(remote_reader, writer))
    remote_writer.close()
    writer.close()


async def relay(listener: socket.socket, host: str, port: int) -> asyncio.Server:
    """Accept any number of connections on `listener`, and relay each to `host`:`port`."""
    # The event loop refers to tasks only weakly, and to a connection only while it reads from it.
    # Without this set a half-closed connection is collected as garbage, and its response is lost.
    running: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(relayed(reader, writer, host, port))
        running.add(task)
        task.add_done_callback(running.discard)

    return await asyncio.start_server(accept, sock=listener)


async def until_parent_ends() -> None:
    """Wait for the end of standard input, which the parent keeps open while it runs."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    await reader.read()


def raise_loopback() -> None:
    """Bring up loopback, like ``ip link set lo up``. Source: netdevice(7)."""
    get, put, up = 0x8913, 0x8914, 1  # SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sH14s", b"lo", 0, b"")
        name, flags, _ = struct.unpack("16sH14s", fcntl.ioctl(control, get, request))
        fcntl.ioctl(control, put, struct.pack("16sH14s", name, flags | up, b""))


def unpacked() -> Path | None:
    """Return the folder of the server's programs, unpacked once beside the installed package.

    Returns None if the package is read-only; each server then unpacks them, in 5 s.
    """
    import milvus

    data = Path(milvus.__file__).parent / "data"
    if not os.access(data, os.W_OK):
        return None
    with (data / "unpacked.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a running program cannot be overwritten
        milvus._initialize_data_files(str(data))
    return data / "bin"


def started(folder: Path, lease: int = LEASE) -> Any:
    """Start Milvus in `folder` with authentication; return it when it is healthy.

    It ends with the returned object.
    """
    from milvus import MilvusServer, MilvusServerConfig  # type: ignore[import-untyped]

    folder.mkdir(parents=True, exist_ok=True)
    if (programs := unpacked()) and not (folder / "bin").exists():
        (folder / "bin").symlink_to(programs)
    server = MilvusServer(MilvusServerConfig(), wait_for_started=False)
    server.set_base_dir(str(folder))
    server.config.set("authorization_enabled", True)
    for name, value in {**SETTINGS, "common.session.ttl": str(lease)}.items():
        server.config.set(name, value)
        os.environ[name.replace(".", "_").upper()] = value  # noqa: TID251  # Milvus reads it
    server.start()
    server.wait_started(120_000)  # ms; 7 s on an idle machine
    return server


async def main(folder: Path, listener: socket.socket, lease: int) -> None:
    milvus = await asyncio.to_thread(started, folder, lease)
    server = await relay(listener, "127.0.0.1", milvus.listen_port)
    print("ready", flush=True)  # noqa: T201  # the parent waits for it
    async with server:
        await until_parent_ends()


if __name__ == "__main__":
    try:
        raise_loopback()
        listener = socket.socket(fileno=int(sys.argv[2]))
        asyncio.run(main(Path(sys.argv[1]), listener, int(sys.argv[3])))
    finally:  # SIGTERM hangs once a collection is loaded (2.3.5); the group has no other members
        os.killpg(0, signal.SIGKILL)

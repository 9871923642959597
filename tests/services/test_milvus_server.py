"""The Milvus server of the tests: alone in its namespace, behind a relay, ends with its parent."""

import asyncio
import gc
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import pytest

from tests.conftest import at_hand
from tests.services import milvus_server
from tests.services.milvus_inside import relay

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

START = """
import sys, pathlib
from tests.services.milvus_server import MilvusServer
server = MilvusServer(pathlib.Path(sys.argv[1]))
print(server.group, server.url, flush=True)
sys.stdin.read()
"""


async def echoed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Respond with the received bytes, reversed, after the other side has ended."""
    writer.write((await reader.read())[::-1])
    await writer.drain()
    writer.close()


async def response_of(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    writer.write_eof()
    answer = await reader.read()
    writer.close()
    return answer


async def through_relay(messages: list[bytes], serve: Serve = echoed) -> list[bytes]:
    target = await asyncio.start_server(serve, "127.0.0.1", 0)
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    port = listener.getsockname()[1]
    relaying = await relay(listener, "127.0.0.1", target.sockets[0].getsockname()[1])
    async with target, relaying:
        return await asyncio.gather(*(response_of(port, message) for message in messages))


def test_relay_carries_many_connections_and_their_ends() -> None:
    # 210 kB and more: many reads for each
    messages = [f"{i} 图片".encode() * 30_000 for i in range(64)]
    assert asyncio.run(through_relay(messages)) == [message[::-1] for message in messages]


def test_relay_keeps_half_closed_connections_during_garbage_collection() -> None:
    async def collected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        sent = await reader.read()  # the client has closed its half
        gc.collect()
        writer.write(sent[::-1])
        await writer.drain()
        writer.close()

    async def answer_and_messages() -> tuple[bytes, list[str]]:
        messages: list[str] = []
        asyncio.get_running_loop().set_exception_handler(
            lambda _loop, context: messages.append(context["message"])
        )
        (answer,) = await through_relay([b"abc"], collected)
        return answer, messages

    assert asyncio.run(answer_and_messages()) == (b"cba", [])


def test_relay_to_a_closed_port_ends_the_connection() -> None:
    async def refused() -> bytes:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            nobody = taken.getsockname()[1]
        listener = socket.create_server(("127.0.0.1", 0))
        async with await relay(listener, "127.0.0.1", nobody):
            return await response_of(listener.getsockname()[1], b"")

    assert asyncio.run(refused()) == b""


def test_server_is_alone_in_its_namespace_and_ends_with_its_parent(
    tmp_path: Path,
) -> None:
    at_hand("milvus")
    if why := milvus_server.unavailable():
        pytest.skip(why)  # the tests use the server of IMGSEARCH_TEST_MILVUS
    with subprocess.Popen(
        [sys.executable, "-c", START, tmp_path],
        cwd=milvus_server.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        group, _url = parent.stdout.readline().split()
        inside = psutil.Process(int(group))
        members = [inside, *inside.children(recursive=True)]
        assert len(members) == 2  # the relay, and Milvus
        for member in members:
            assert (
                Path(f"/proc/{member.pid}/ns/net").readlink()
                != Path("/proc/self/ns/net").readlink()
            )
            assert os.getpgid(member.pid) == int(group)
        parent.send_signal(signal.SIGKILL)
    assert psutil.wait_procs(members, timeout=10)[1] == []

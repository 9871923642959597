"""The embedding step in a child process, for images that may kill it or hang.

The child is ``python -m imgsearch.encoders.isolated_worker``. A spawned process of multiprocessing
would import the user's program again.
"""

import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import pyarrow as pa
from typing_extensions import override

from imgsearch import arrow, errors
from imgsearch.encoders.embedding import Embedding
from imgsearch.errors import EncoderError, ImageCrashed, ImgSearchError
from imgsearch.images import sources
from imgsearch.settings import Settings
from imgsearch.threads import available_cores
from imgsearch.types import Closeable

START: Final = 120.0
"""Seconds for a new child, which loads the encoder."""

LIMITS: Final = {"call": 30.0, "image": 0.5}
"""Seconds for a call, and for each of its images beside. Only a single image that takes longer
fails: more images are divided.
"""

ITEMS: Final = pa.schema([("source", pa.string()), ("data", pa.large_binary())])
"""A request to the child: images as (name, bytes)."""

LENGTH: Final = 8  # bytes before each message: its length


class IsolatedEmbedding(Closeable):
    """Embeds like `Embedding`, in a child process that may die.

    If the child dies, or takes too long, the images are divided until the one at fault is alone:
    its row has the status "crash" and the error `ImageCrashed`. Not thread-safe.
    """

    def __init__(self, embedding: Embedding) -> None:
        self._embedding = embedding
        self._child: subprocess.Popen[bytes] | None = None

    def __call__(self, items: Sequence[tuple[str, bytes]]) -> pa.RecordBatch:
        """Return a record batch with the schema of the embedding, one row per item.

        Raises:
            EncoderError: the encoder cannot be built in the child.
        """
        batches = self._batches(items)
        schema = self._embedding.schema
        rows = pa.Table.from_batches(batches, schema).combine_chunks().to_batches()
        return rows[0] if rows else arrow.batch([], schema)

    @override
    def close(self) -> None:
        """End the child."""
        if self._child is not None:
            child, self._child = self._child, None
            child.kill()
            for stream in (child.stdin, child.stdout):
                if stream is not None:
                    with suppress(OSError):
                        stream.close()
            child.wait()

    def _batches(self, items: Sequence[tuple[str, bytes]]) -> list[pa.RecordBatch]:
        if not items:
            return []
        reply = self._ask(self._started(), items)
        if reply is not None:
            return [reply]
        self.close()
        if len(items) == 1:
            return [self._crashed(*items[0])]
        half = len(items) // 2
        return [*self._batches(items[:half]), *self._batches(items[half:])]

    def _ask(
        self, child: "subprocess.Popen[bytes]", items: Sequence[tuple[str, bytes]]
    ) -> pa.RecordBatch | None:
        """Return the child's rows, or None if it died or took too long.

        Raises:
            EncoderError: the encoder cannot be built in the child.
        """
        limit = LIMITS["call"] + LIMITS["image"] * len(items)
        try:
            reply = _exchange(child, _message(items), limit)
        except (OSError, EOFError):
            return None
        if reply[:1] == b"{":
            raise _error(json.loads(reply))
        return pa.ipc.open_stream(reply).read_next_batch()

    def _started(self) -> "subprocess.Popen[bytes]":
        """Return the child, which has loaded the encoder.

        Raises:
            EncoderError: it cannot be loaded.
        """
        if self._child is not None:
            return self._child
        child = self._child = subprocess.Popen(
            [sys.executable, "-m", "imgsearch.encoders.isolated_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        try:
            reply = json.loads(
                _exchange(child, json.dumps(_plain(self._embedding)).encode(), START)
            )
        except (OSError, EOFError) as error:
            self.close()
            raise EncoderError("the process that isolates images ends at its start") from error
        if reply:
            self.close()
            raise _error(reply)
        return child

    def _crashed(self, name: str, data: bytes) -> pa.RecordBatch:
        title = sources.printable(name)
        error = ImageCrashed(
            f"{title}: decoding or embedding it kills the process, or takes more than "
            f"{LIMITS['call']:g} s",
            path=title,
            stage="crash",
        )
        content = sources.content_id(data)
        row = {
            **dict.fromkeys(self._embedding.schema.names, ""),
            "id": content,
            "source": title,
            "sha256": content,
            "vector": None,
            "status": error.stage,
            "error": f"{type(error).__name__}: {error}",
        }
        return arrow.batch([row], self._embedding.schema)


def _exchange(child: "subprocess.Popen[bytes]", message: bytes, seconds: float) -> bytes:
    """Send a message, and return the reply. A child that takes longer is killed.

    Raises:
        OSError, EOFError: the child died.
    """
    killer = threading.Timer(seconds, child.kill)
    killer.daemon = True
    killer.start()
    try:
        _send(child.stdin, message)
        return receive(child.stdout)
    finally:
        killer.cancel()


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    if stream is None:
        raise EOFError
    stream.write(len(message).to_bytes(LENGTH, "little"))
    stream.write(message)
    stream.flush()


def suspects_folder() -> Path:
    """Return the folder of notes about images that may kill the process."""
    return Settings.from_environment().cache / "suspects"


def receive(stream: IO[bytes] | None) -> bytes:
    """Return the next message of a stream.

    Raises:
        EOFError: the stream ended.
    """
    head = stream.read(LENGTH) if stream is not None else b""
    message = b"" if stream is None else stream.read(int.from_bytes(head, "little"))
    if len(head) < LENGTH or len(message) < int.from_bytes(head, "little"):
        raise EOFError
    return message


def reply(stream: IO[bytes], message: bytes) -> None:
    """Send a message."""
    _send(stream, message)


def _message(items: Sequence[tuple[str, bytes]]) -> bytes:
    rows = [{"source": sources.printable(name), "data": data} for name, data in items]
    return serialized(arrow.batch(rows, ITEMS))


def serialized(batch: pa.RecordBatch) -> bytes:
    """Return a record batch as a stream of Arrow."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue())


def _plain(embedding: Embedding) -> dict[str, Any]:
    regions = None if embedding.regions is None else asdict(embedding.regions)
    return {
        "encoder": embedding.encoder.config(),
        "regions": regions,
        "max_pixels": embedding.max_pixels,
        "threads": embedding.threads,
        "cores": available_cores(),
    }


def _error(reply: dict[str, str]) -> ImgSearchError:
    kind = getattr(errors, reply["error"], EncoderError)
    known = isinstance(kind, type) and issubclass(kind, ImgSearchError)
    error: ImgSearchError = kind(reply["message"]) if known else EncoderError(reply["message"])
    return error

"""The child of `IsolatedEmbedding`: reads images from standard input, and writes their rows."""

import json
import os
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import fields
from typing import IO, Any

import pyarrow as pa

from imgsearch.encoders import Recipe, load
from imgsearch.encoders.detector import Detection
from imgsearch.encoders.embedding import Embedding
from imgsearch.encoders.isolated import receive, reply, serialized
from imgsearch.errors import ImgSearchError
from imgsearch.threads import limited_cores, share_memory


def main() -> None:
    """Answer requests until standard input ends."""
    share_memory()
    requests = sys.stdin.buffer
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    # what libraries print must not mix with the replies
    replies = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    try:
        plain = json.loads(receive(requests))
        with limited_cores(plain["cores"]):
            step = _step(plain)
            reply(replies, _started(step))
            _answer(step, requests, replies)
    except (EOFError, BrokenPipeError):
        return


def _started(step: Embedding) -> bytes:
    """Load the encoder; return {} as JSON, or its error."""
    try:
        load(**step.encoder.config()).load_side("image")
    except ImgSearchError as error:
        return _described(error)
    return b"{}"


def _described(error: ImgSearchError) -> bytes:
    return json.dumps({"error": type(error).__name__, "message": str(error)}).encode()


def _answer(step: Embedding, requests: IO[bytes], replies: IO[bytes]) -> None:
    while True:
        batch = pa.ipc.open_stream(receive(requests)).read_next_batch()
        items = list(zip(*(column.to_pylist() for column in batch.columns), strict=True))
        try:
            rows = serialized(step(items))
        except ImgSearchError as error:
            rows = _described(error)
        reply(replies, rows)


def _end_with(parent: int) -> None:
    """End this process if its parent dies, while an image hangs."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)


def _step(plain: Mapping[str, Any]) -> Embedding:
    regions = plain["regions"]
    known = {item.name for item in fields(Detection)}
    detection = None if regions is None else Detection(**{k: regions[k] for k in known})
    encoder = Recipe(**plain["encoder"])
    return Embedding(encoder, detection, plain["max_pixels"], plain["threads"])


if __name__ == "__main__":
    main()

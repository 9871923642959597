"""Runs the emulator as a process: `python -m imgsearch.testing.tencent`."""

import argparse
import signal
import sys
import threading
from pathlib import Path

from imgsearch.errors import ImgSearchError
from imgsearch.testing.tencent.emulator import LOOPBACK, Emulator


def main() -> int:
    """Print the HTTP URL, then the gRPC URL if enabled, and serve until SIGTERM or Ctrl-C."""
    options = _options()
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        key = options.key_file.read_text().strip() if options.key_file else options.key
        emulator = Emulator(
            key=key,
            account=options.account,
            host=options.host,
            port=options.port,
            rpc_port=options.rpc_port,
            folder=options.folder,
        )
    except (ImgSearchError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    with emulator:
        lines = [emulator.url] + ([emulator.rpc_url] if options.rpc_port is not None else [])
        sys.stdout.write("".join(f"{line}\n" for line in lines))
        sys.stdout.flush()
        ended.wait()
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m imgsearch.testing.tencent",
        description="Emulates Tencent Cloud VectorDB; prints its URL as its first line.",
    )
    key = parser.add_mutually_exclusive_group(required=True)
    key.add_argument("--key", help="API key; other users of this machine can see it")
    key.add_argument("--key-file", type=Path, help="file with the API key")
    parser.add_argument("--account", default="root", help="account of the key, root by default")
    parser.add_argument(
        "--host", default=LOOPBACK, help=f"address to listen on, {LOOPBACK} by default"
    )
    parser.add_argument("--port", type=int, default=0, help="port for HTTP; 0 chooses a free one")
    parser.add_argument(
        "--rpc-port", type=int, help="port for gRPC, whose URL is printed second; off by default"
    )
    parser.add_argument("--folder", type=Path, help="folder for the data, in memory by default")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())

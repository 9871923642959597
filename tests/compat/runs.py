"""Runs a tutorial's script in a separate process that records its network connections."""

import os
import subprocess
import sys
from pathlib import Path

from PIL import Image

from tests.pictures import picture

_WATCH = """
import sys as _sys
_LOCAL = ("127.0.0.1", "::1", "localhost", "0.0.0.0", None)
_reached = []
def _watch(event, args):
    if event == "subprocess.Popen" and args[0] in ("uname", "/sbin/ldconfig"):
        return  # tcvectordb 2.1.1 asks what platform this is, ctypes where a library is
    if event in ("subprocess.Popen", "os.system", "os.exec", "os.posix_spawn", "os.fork"):
        _reached.append((event, str(args)[:200]))
    if event == "socket.getaddrinfo" and args[0] not in _LOCAL:
        _reached.append((event, args[0]))
    if event == "socket.connect" and isinstance(args[1], tuple) and args[1][0] not in _LOCAL:
        _reached.append((event, args[1][0]))
_sys.addaudithook(_watch)
"""
_TELL = """
print("reached out:", _reached)
"""


def run(script: str, folder: Path, *arguments: str) -> str:
    """Return a script's output. It must exit with 0 and connect only to this machine."""
    source = folder / "script.py"
    source.write_text(_WATCH + script + _TELL, encoding="utf-8")
    # PIP_NO_INDEX: Towhee runs pip for missing packages
    environment = {**os.environ, "PIP_NO_INDEX": "1", "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(source), *arguments],
        cwd=folder, env=environment, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    printed, _, reached = done.stdout.rpartition("reached out:")
    assert reached.strip() == "[]", reached
    return printed


def gallery(folder: Path) -> None:
    """Write the tutorials' data: train/, test/ and a csv. A query is its image, scaled down."""
    lines = ["id,path,label"]
    for place in range(12):
        label = ("goldfish", "Ägyptische_Katze", "斗牛犬")[place // 4]
        path = folder / f"train/{label}/{place}.JPEG"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(place, (96, 80))).save(path, quality=95)
        lines.append(f"{place},./{path.relative_to(folder)},{label}")
    for place in (1, 2):
        query = folder / f"test/goldfish/{place}.JPEG"
        query.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(place, (96, 80))).resize((64, 54)).save(query)
    (folder / "reverse_image_search.csv").write_text("\n".join(lines) + "\n", encoding="utf-8-sig")

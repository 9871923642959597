"""The first steps of a user with a small installation: add, search, pipelines, a service.

`make smoke-small` runs it in an environment of its own, outside the checkout.
"""

import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

BIN = Path(sys.executable).parent
LEFT_OUT = ("pandas", "twine", "tenacity", "tqdm", "tcvdb_text", "grpc_tools")


def run(*words, code=0):
    done = subprocess.run([BIN / "imgsearch", *words], capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr * bool(code)


def serve(picture):
    """Add to and search in a service: the extra `service`, installed beside the small core."""
    import imgsearch

    service = subprocess.Popen(
        [BIN / "imgsearch", "serve", "--port", "0", "--no-auth"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        lines = iter(service.stdout.readline, "")
        base = next(match[0] for line in lines if (match := re.search(r"http://[\d.:]+", line)))
        with imgsearch.Client(base) as client:
            assert client.add([picture]).added == 1
            assert len(client.search(picture, k=3)) == 1
    finally:
        service.terminate()
        service.communicate(timeout=60)


def write_to_tencent(images):
    """Add to and search in Tencent VectorDB, which the package's emulator stands for."""
    import imgsearch
    from imgsearch.testing.tencent import Emulator

    with Emulator(key="smoke") as emulator:
        url = emulator.url.replace("http", "tencent") + "/smoke"
        with imgsearch.open(url, token="smoke") as library:
            assert library.add(images).added == 240
            assert len(library.search("a dog", k=3)) == 3


def main():
    present = [name for name in LEFT_OUT if importlib.util.find_spec(name)]
    assert present == [], present
    with tempfile.TemporaryDirectory(prefix="a smoke test ") as folder:
        os.chdir(folder)
        import imgsearch

        gallery = Path(imgsearch.__file__).parent / "datasets/pictures"
        picture = str(next((gallery / "test").glob("*/*.jpg")))
        run("add", str(gallery / "train"))
        for query in (picture, "a dog"):
            assert len(json.loads(run("search", query, "-k", "3", "--json"))) == 3
        assert "Run pip install 'pandas>=2.2'." in run("evaluate", str(gallery), code=1)
        assert len(imgsearch.embed_pipeline()(picture)) == 1
        imgsearch.insert_pipeline("memory://smoke")(str(gallery / "train/*/*.jpg"))
        (row,) = imgsearch.search_pipeline("memory://smoke", k=3)(picture)
        assert len(row["hits"]) == 3
        if importlib.util.find_spec("tcvectordb"):
            write_to_tencent(gallery / "train")
        if importlib.util.find_spec("fastapi"):
            serve(picture)
    print("1 passed, 0 failed")  # noqa: T201


if __name__ == "__main__":
    main()

"""The first steps of a user with the wheel, outside the checkout, without torch and pytest."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path

BIN = Path(sys.executable).parent


def run(*words, cwd):
    done = subprocess.run([BIN / "imgsearch", *words], cwd=cwd, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def main():
    assert importlib.util.find_spec("torch") is None
    with tempfile.TemporaryDirectory(prefix="a smoke test ") as folder:
        os.chdir(folder)
        import imgsearch

        assert Path(imgsearch.__file__).is_relative_to(Path(sys.prefix))
        assert imgsearch.op("normalize")([3.0, 4.0]).tolist() == [
            0.6000000238418579,
            0.800000011920929,
        ]
        missing = [name for name in imgsearch.__all__ if not hasattr(imgsearch, name)]
        assert missing == [], missing
        exec("from imgsearch import *", {})  # noqa: S102 - as an interactive session does
        assert version("towhee-imgsearch") == imgsearch.__version__
        if importlib.util.find_spec("httpx") is None:
            try:
                imgsearch.Client("http://127.0.0.1:8000")
            except imgsearch.errors.MissingExtra as error:
                hint = str(error)
            assert "pip install '.[client]'" in hint, hint
        result = json.loads(run("demo", "--json", cwd=folder))
        assert result["metrics"]["hit@1"] > 0.2, result["metrics"]
        assert (
            Path(result["page"]).read_text(encoding="utf-8").lower().startswith("<!doctype html>")
        )
        gallery = Path(imgsearch.__file__).parent / "datasets/pictures"
        picture = next((gallery / "test").glob("*/*.jpg"))
        run("add", str(gallery / "train"), cwd=folder)
        hits = json.loads(run("search", str(picture), "-k", "3", "--json", cwd=folder))
        assert len(hits) == 3
        assert hits[0]["score"] >= hits[1]["score"] >= hits[2]["score"]
        check = subprocess.run(  # the wheel has the manifest
            [BIN / "imgsearch", "data", "check", folder, "--json"], capture_output=True, text=True
        )
        assert len(json.loads(check.stdout)["missing"]) == 1101, check.stderr
    print("1 passed, 0 failed")  # noqa: T201


if __name__ == "__main__":
    main()

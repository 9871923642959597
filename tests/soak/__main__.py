"""Run all or the named long trials of the service, and print their figures.

python -m tests.soak [kills[=100] schemathesis[=2000] nasty[=1000] images[=5000] load[=50000]
                     steady[=600] syncs[=20] faults[=83]]
"""

import os
import platform
import sys
from importlib.metadata import version

from tests.soak import document, faults, images, kills, load, nasty, steady, syncs

PARTS = {
    "kills": kills.main,
    "schemathesis": document.main,
    "nasty": nasty.main,
    "images": images.main,
    "load": load.main,
    "steady": steady.main,
    "syncs": syncs.main,
    "faults": faults.main,
}
PACKAGES = ("fastapi", "uvicorn", "sqlalchemy", "pymilvus", "milvus-lite", "onnxruntime", "pillow")


def main(*words):
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {version(name)}" for name in PACKAGES), flush=True)
    for word in words or PARTS:
        part, _, size = word.partition("=")
        PARTS[part](*([int(size)] if size else []))


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Makes images of certain bytes kill or hang a process; python imports it if PYTHONPATH names it.

The file in IMGSEARCH_TEST_POISON holds the sha256 of images: lines of "crash HASH" or "hang HASH".
"""

import hashlib
import os
import sys
import time
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import PathFinder

TARGET = "imgsearch.encoders.embedding"
ENVIRONMENT = os.environ  # noqa: TID251 - a hook of tests


class _Hook(MetaPathFinder, Loader):
    def find_spec(self, name, path=None, target=None):
        if name == "imgsearch.library.quarantine":
            spec = PathFinder.find_spec(name, path)
            spec.loader = _Short(spec.loader)
            return spec
        if name != TARGET:
            return None
        spec = PathFinder.find_spec(name, path)
        spec.loader = _Poison(spec.loader)
        return spec


class _Loaded(Loader):
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        self._loader.exec_module(module)


class _Short(_Loaded):
    def exec_module(self, module):
        super().exec_module(module)
        from imgsearch.encoders import isolated

        module.HANGS.update(chunk=5.0, image=0.0, first=5.0)
        isolated.LIMITS.update(call=8.0, image=0.0)


class _Poison(_Loaded):
    def exec_module(self, module):
        super().exec_module(module)
        real, poison = module.model_input, {}
        with open(ENVIRONMENT["IMGSEARCH_TEST_POISON"], encoding="ascii") as lines:  # noqa: PTH123
            for line in lines:
                kind, digest = line.split()
                poison[digest] = kind

        def model_input(encoder, data, path, **options):
            kind = poison.get(hashlib.sha256(data).hexdigest())
            if kind == "crash":
                os.kill(os.getpid(), 9)
            while kind == "hang":
                time.sleep(0.1)
            return real(encoder, data, path, **options)

        module.model_input = model_input


if "IMGSEARCH_TEST_POISON" in ENVIRONMENT:
    sys.meta_path.insert(0, _Hook())

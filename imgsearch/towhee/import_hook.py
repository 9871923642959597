"""Registers our operators with Towhee, whether it is imported before or after imgsearch.

`import imgsearch` is fast because it does not import Towhee: a hook waits for that import.
"""

import sys
from importlib import import_module
from typing import Any


class _Finder:
    """A finder in `sys.meta_path` that patches Towhee's modules when they are imported.

    It stays in `sys.meta_path`, because removing it would make a thread that iterates over the list
    skip a finder.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return a spec that patches the module, if it is in `_PATCHES`; otherwise None."""
        patch = _PATCHES.get(name)
        if patch is None:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        finds = [getattr(finder, "find_spec", None) for finder in others]
        specs = (find(name, path, target) for find in finds if find)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                patch(module)

            spec.loader.exec_module = exec_module
        return spec


def _register(towhee: Any) -> None:
    """Register our operators and pipelines with Towhee, and patch it."""
    import_module("imgsearch.towhee.patches").patch_towhee(towhee)
    runtime = towhee.runtime
    for name in ("imgsearch_embed", "imgsearch_insert", "imgsearch_search"):
        runtime.AutoConfig._REGISTERED_CONFIG[name] = _lazy_pipeline("CONFIGS", name)
        runtime.AutoPipes._PIPES_DEF[name] = _lazy_pipeline("PIPES", name)


def _lazy_pipeline(table: str, name: str) -> Any:
    """Return a function that calls ``imgsearch.pipelines.auto.<table>[<name>]``."""

    def call(*args: Any, **config: Any) -> Any:
        return getattr(import_module("imgsearch.pipelines.auto"), table)[name](*args, **config)

    return call


def _lazy_patch(name: str) -> Any:
    """Return a function that calls ``imgsearch.towhee.patches.<name>``."""

    def call(module: Any) -> None:
        getattr(import_module("imgsearch.towhee.patches"), name)(module)

    return call


# Towhee module → function that patches it after its import
_PATCHES = {
    "towhee": _register,
    "towhee.utils.html_table": _lazy_patch("patch_html_table"),
    "towhee.utils.dependency_control": _lazy_patch("patch_dependency_control"),
}


def install() -> None:
    """Patch Towhee's modules when they are imported, or now if they already are."""
    sys.meta_path.insert(0, _Finder())
    for name, patch in _PATCHES.items():
        if sys.modules.get(name):
            patch(import_module(name))  # waits if another thread is importing it

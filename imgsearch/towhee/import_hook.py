"""How Towhee gets to know our operators: when it is imported, before `imgsearch` or after.

`import imgsearch` stays quick and loads no Towhee; what has to be told to Towhee waits for it.
"""

import sys
from importlib import import_module
from typing import Any


class _Introduction:
    """Finds Towhee as the other finders do, and introduces our operators when it is imported.

    It stays among `sys.meta_path`: taking it out would shift the list under a thread that is just
    going through it, which would then miss a finder.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return the spec of a module that `_ALTERED` names, None for all others."""
        alter = _ALTERED.get(name)
        if alter is None:
            return None
        others = [getattr(each, "find_spec", None) for each in sys.meta_path if each is not self]
        found = (find(name, path, target) for find in others if find)
        spec = next((each for each in found if each is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                execute(module)
                alter(module)

            spec.loader.exec_module = exec_module
        return spec


def _introduce(towhee: Any) -> None:
    """Register our operators and pipelines with Towhee, which has just been imported."""
    import_module("imgsearch.towhee.patches").alter_towhee(towhee)
    runtime = towhee.runtime
    for name in ("imgsearch_embed", "imgsearch_insert", "imgsearch_search"):
        runtime.AutoConfig._REGISTERED_CONFIG[name] = _deferred("CONFIGS", name)
        runtime.AutoPipes._PIPES_DEF[name] = _deferred("PIPES", name)


def _deferred(table: str, name: str) -> Any:
    """Return a function that calls ``imgsearch.pipelines.auto.<table>[<name>]``."""

    def call(*args: Any, **config: Any) -> Any:
        return getattr(import_module("imgsearch.pipelines.auto"), table)[name](*args, **config)

    return call


def _alter(name: str) -> Any:
    """Return a function that calls ``imgsearch.towhee.patches.<name>``."""

    def call(module: Any) -> None:
        getattr(import_module("imgsearch.towhee.patches"), name)(module)

    return call


# Towhee's module → what is called with it, once it has been imported
_ALTERED = {
    "towhee": _introduce,
    "towhee.utils.html_table": _alter("alter_html_table"),
    "towhee.utils.dependency_control": _alter("alter_dependency_control"),
}


def install() -> None:
    """Find Towhee from now on; where it is imported already, introduce ourselves at once."""
    sys.meta_path.insert(0, _Introduction())
    for name, call in _ALTERED.items():
        if sys.modules.get(name):
            call(import_module(name))  # waits where another thread is just importing it

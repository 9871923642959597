"""Patches Towhee when it is imported.

`import imgsearch` changes nothing in the process but `sys.meta_path`, to which it adds a finder. If
Towhee is imported later, the finder changes Towhee's own modules:

- Our operators and pipelines are registered, and unknown ones are refused instead of downloaded.
- A missing package raises an error instead of running pip.
- `DataCollection.show` shows images without OpenCV and matplotlib, and numbers as NumPy 1 does.
- `legacy` provides names of Towhee 0.x, such as ``towhee.glob`` and ``towhee.dc2``.
- Our operators learn when a run of a pipeline ends (`Operator.end_run`).
- Modules that import ``pkg_resources`` get `imgsearch.towhee.pkg_resources` instead, because
  setuptools 82 removed it. Other programs import setuptools' module, if it is installed.
- The runtime's modules that import pydantic get `imgsearch.towhee.pydantic` instead, and the module
  that downloads from Towhee's hub is `imgsearch.towhee.downloader`, because pydantic and requests
  take longer to import than all of Towhee.

- ``towhee.models`` and ``towhee.trainer`` get torchvision with its missing operators declared, and
  an ``os`` that does not run pip (`imgsearch.towhee.os_without_pip`).

If Towhee is imported first, which needs setuptools below 82, it is patched when imgsearch is
imported.
"""

import builtins
import sys
from functools import partial
from importlib import import_module
from importlib.util import spec_from_file_location
from pathlib import Path
from typing import Any, Final

# modules of Towhee that are files here
_OWN_MODULES: Final = {
    "towhee.hub.downloader": "downloader.py",
    "towhee.dc2": "legacy/dc2.py",
}
# the names in `imgsearch.pipelines.auto`; the last two are a fork's, beside Towhee's insert_milvus
_PIPELINES: Final = (
    "imgsearch_embed",
    "imgsearch_insert",
    "imgsearch_search",
    "insert_tcvdb",
    "search_tcvdb",
)


class _Finder:
    """A finder in `sys.meta_path` that patches Towhee's modules when they are imported.

    It stays in `sys.meta_path`, because removing it would make a thread that iterates over the list
    skip a finder.
    """

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """Return a spec that patches the module, if it is one to patch; otherwise None."""
        if own_file := _OWN_MODULES.get(name):
            return spec_from_file_location(name, Path(__file__).parent / own_file)
        patch, own = _PATCHES.get(name), _own_imports(name)
        if patch is None and not own:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        finds = [getattr(finder, "find_spec", None) for finder in others]
        specs = (find(name, path, target) for find in finds if find)
        spec = next((spec for spec in specs if spec is not None), None)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def exec_module(module: Any) -> None:
                if own:
                    # only this module's import statements call it, now and in its functions
                    module.__builtins__ = {**vars(builtins), "__import__": partial(_import, own)}
                execute(module)
                if patch is not None:
                    patch(module)

            spec.loader.exec_module = exec_module
        return spec


def _own_imports(module: str) -> dict[str, str]:
    """Return the imports of a Towhee module that get a module of this package: name → its name."""
    own = {name: name for name in (_OWN_IMPORTS.get(module),) if name}
    if module.startswith(_MODELS):
        own |= {"os": "os_without_pip", "torchvision": ""}
    return own


def _import(own: dict[str, str], name: str, *args: Any, **options: Any) -> Any:
    """Import a module for Towhee, as `builtins.__import__` does, but those in `own` from here."""
    if replacement := own.get(name):
        return import_module(f"imgsearch.towhee.{replacement}")
    if "torchvision" in own and name.partition(".")[0] == "torchvision":
        import_module("imgsearch.encoders.torch.imports").declare_torchvision()
    return builtins.__import__(name, *args, **options)


def _register(towhee: Any) -> None:
    """Register our operators and pipelines with Towhee, and patch it."""
    import_module("imgsearch.towhee.patches").patch_towhee(towhee)
    runtime = towhee.runtime
    for name in _PIPELINES:
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
    "towhee.utils.console_table": _lazy_patch("patch_console_table"),
    "towhee.utils.dependency_control": _lazy_patch("patch_dependency_control"),
}

PKG_RESOURCES_USERS: Final = frozenset({
    "towhee",
    "towhee.models.clip.clip_utils",
    "towhee.runtime.operator_manager.operator_loader",
    "towhee.utils.git_utils",
})  # fmt: skip
"""The modules of Towhee 1.1.3 that import ``pkg_resources``."""

PYDANTIC_USERS: Final = frozenset({
    "towhee.runtime.check_utils",
    "towhee.runtime.dag_repr",
    "towhee.runtime.node_config",
    "towhee.runtime.node_repr",
    "towhee.runtime.schema_repr",
})  # fmt: skip
"""The modules of Towhee's runtime that import pydantic. Its predefined pipelines do, too."""

# Towhee module → module of this package that it gets in the place of the one of that name
_OWN_IMPORTS: Final = {
    **dict.fromkeys(PKG_RESOURCES_USERS, "pkg_resources"),
    **dict.fromkeys(PYDANTIC_USERS, "pydantic"),
}


# packages of Towhee that import torchvision, and run pip when a package is missing
_MODELS: Final = ("towhee.data.", "towhee.models.", "towhee.trainer")


def install() -> None:
    """Patch Towhee's modules when they are imported, or now if they already are."""
    sys.meta_path.insert(0, _Finder())
    for name, patch in _PATCHES.items():
        if sys.modules.get(name):
            patch(import_module(name))  # waits if another thread is importing it

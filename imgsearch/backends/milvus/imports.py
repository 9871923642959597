"""Imports pymilvus and milvus-lite without pandas, requests and SciPy, until a call needs them.

pymilvus 3.0.2 needs pandas for data frames and a few type checks, requests for a service of Zilliz,
and SciPy for sparse vectors. pyarrow 26, which milvus-lite uses, imports pandas if it is installed,
to recognize its objects. All of this takes 0.4 s of processor time.

`sys.modules` has no placeholder at any time, so imports by the program and by other threads are not
affected. When the program imports pandas, pyarrow recognizes its objects from then on.
"""

import builtins
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import FrameType, ModuleType
from typing import Any, Final

from typing_extensions import override

_ORM: Final = ("collection", "partition", "prepare", "schema", "types")
_Execute = Callable[[ModuleType], None]
_lock: Final = threading.Lock()


def install() -> None:
    """Change the next import of pymilvus, and pyarrow if pandas is not imported yet."""
    with _lock:
        if any(isinstance(finder, _Finder) for finder in sys.meta_path):
            return
        # it stays, because a thread that iterates over the list would skip a finder
        finder = _Finder()
        sys.meta_path.insert(0, finder)
        if "pandas" not in sys.modules:
            finder.hide_pandas(getattr(import_module("pyarrow.lib"), "_pandas_api", None))


class _Finder(MetaPathFinder):
    """Finds the modules that are changed: some of pymilvus, and pandas."""

    def __init__(self) -> None:
        self._thread = threading.local()
        self._changes: dict[str, Callable[[ModuleType, _Execute], None]] = {
            "pymilvus.client.global_topology": _execute_with_placeholders,
            "pymilvus.client.utils": _execute_without_scipy,
            **{f"pymilvus.orm.{name}": _execute_with_placeholders for name in _ORM},
        }

    def hide_pandas(self, pyarrow_shim: Any) -> None:
        """Hide pandas from milvus-lite, and from pyarrow until the program imports pandas.

        At each conversion of a list, pyarrow's C++ part imports pandas. It works without, for
        objects that are not of pandas. The Python part, `pyarrow_shim`, looks for pandas once,
        and again if `pd` is read. It has to look now, because later it would hold its lock.
        """
        self._thread.hidden = True
        try:
            getattr(pyarrow_shim, "have_pandas", None)
        finally:
            self._thread.hidden = False
        self._changes["pandas"] = partial(_execute_pandas, pyarrow_shim)

    @override
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec that changes the module, or None for other modules."""
        if fullname == "pandas" and (getattr(self._thread, "hidden", False) or _is_of_lite()):
            raise ModuleNotFoundError("pandas is hidden from milvus-lite", name=fullname)
        change = self._changes.get(fullname)
        if change is None:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module
            spec.loader.exec_module = lambda module: change(module, execute)  # type: ignore[method-assign]  # of one module
        return spec


def _is_of_lite() -> bool:
    """Return whether milvus-lite called pyarrow, which imports a module."""
    frame: FrameType | None = sys._getframe()
    while frame is not None:
        name = str(frame.f_globals.get("__name__"))
        package = name.partition(".")[0]
        if name != __name__ and package not in ("importlib", "pyarrow"):
            return package == "milvus_lite"
        frame = frame.f_back
    return False


def _execute_with_placeholders(module: ModuleType, execute: _Execute) -> None:
    """Execute a module that imports pandas or requests; it gets placeholders for them."""
    vars(module)["__builtins__"] = {**vars(builtins), "__import__": _import}
    execute(module)


def _execute_without_scipy(utils: Any, execute: _Execute) -> None:
    """Make pymilvus look for sparse vectors only if the program has imported scipy.sparse.

    Otherwise it would import scipy.sparse at the first insert or search, to check for its classes.
    """
    execute(utils)
    helper = utils.SciPyHelper
    check = helper._init

    def init() -> None:
        if "scipy.sparse" in sys.modules:
            check()

    helper._init = staticmethod(init)


def _execute_pandas(pyarrow_shim: Any, module: ModuleType, execute: _Execute) -> None:
    """Import pandas, and make pyarrow look for it again."""
    execute(module)
    getattr(pyarrow_shim, "pd", None)


class _DataFrameType(type):
    """The type of `_DataFrame`, for ``isinstance``."""

    @override
    def __instancecheck__(cls, instance: object) -> bool:
        # without an import of pandas, no object is a data frame
        frame = getattr(sys.modules.get("pandas"), "DataFrame", None)
        return frame is not None and isinstance(instance, frame)


class _DataFrame(metaclass=_DataFrameType):
    """Stands for pandas.DataFrame, which pymilvus uses in annotations and for ``isinstance``."""


class _Placeholder(ModuleType):
    """Stands for a module, which is imported when an attribute is first needed."""

    def __getattr__(self, name: str) -> Any:
        return getattr(import_module(self.__name__), name)


class _Functions(ModuleType):
    """Stands for a module of functions, which is imported by the first call of a function."""

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any, **options: Any) -> Any:
            return getattr(import_module(self.__name__), name)(*args, **options)

        return call


def _pandas() -> ModuleType:
    module = _Placeholder("pandas")
    vars(module)["DataFrame"] = _DataFrame
    return module


_PLACEHOLDERS: Final[Mapping[str, ModuleType]] = {
    "pandas": _pandas(),
    "pandas.api.types": _Functions("pandas.api.types"),
    "requests": _Placeholder("requests"),
}


def _import(name: str, *args: Any, **options: Any) -> Any:
    """Return a placeholder, or what the builtin ``__import__`` returns."""
    placeholder = _PLACEHOLDERS.get(name)
    return builtins.__import__(name, *args, **options) if placeholder is None else placeholder

"""Operator folders, found on disk and known to Towhee as ``ops.imgsearch.<folder>``.

Towhee takes an unknown name for one to download from a hub that is gone. So `op` looks here
first and never further, and every folder's class is registered before Towhee is asked. The names
of the hub's own operators, which public code uses, are in `names`.
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import ConfigError, ImgSearchError, OperatorNotFound
from imgsearch.towhee.imports import (
    BUILT_IN_PIPES_ROOT,
    CacheManager,
    OperatorRegistry,
    SharedType,
    get_builtin_pipe_file,
    towhee,
)
from imgsearch.towhee.operator import Operator

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_PLACES: Final = (_PACKAGE / "_operators", _PACKAGE.parent / "operators")  # wheel, then checkout
_LOADING: Final = threading.RLock()
_added: dict[str, Path] = {}  # operator folders of a program's own, by name


def op(name: str, **config: Any) -> Any:
    """Return the operator `name` for a pipeline's `map`, `flat_map` or `window`, not yet built.

    `config` is handed to the operator's class when the pipeline is closed: plain values only,
    since Towhee copies them with every step. `on_error` is taken by every operator.

    Raises:
        OperatorNotFound: no folder of that name; the message names near ones.
    """
    known = [*operator_names(), *_added]
    if name not in known:
        near = get_close_matches(name, known) or known
        raise OperatorNotFound(f"no operator {name!r}; there are: {', '.join(near)}")
    return getattr(towhee.ops.imgsearch, name)(**config)


def add_operators(folder: str | PathLike[str]) -> list[str]:
    """Make the operator folders in `folder` known to `op`, as those of the package are.

    Each is a folder NAME with an ``__init__.py`` that has a class NAME, best an `Operator`. It is
    loaded when it is first built. Returns the names, sorted; adding a folder again changes nothing.

    Raises:
        ConfigError: there is none in it, or a name is taken by another folder.
    """
    place = Path(folder).expanduser().resolve()
    found = {path.parent.name: path.parent for path in sorted(place.glob("*/__init__.py"))}
    if not found:
        raise ConfigError(f"{place} holds no folder with an __init__.py, as an operator's is")
    taken = [
        name
        for name in found
        if name in operator_names() or _added.get(name, found[name]) != found[name]
    ]
    if taken:
        raise ConfigError(f"there is an operator {taken[0]!r} already; rename the folder")
    for name, each in found.items():
        if name not in _added:
            towhee.register(name=f"imgsearch/{name}")(_lazy(each))
            _added[name] = each
    return list(found)


def require(name: str, tag: str) -> None:
    """Refuse an operator that Towhee would download, or run pip for, when it is built.

    `name` as Towhee keeps it: dashes for underscores, slashes for dots.

    Raises:
        OperatorNotFound: it is neither registered nor in Towhee's own operator folder.
        ConfigError: its folder holds a requirements.txt.
    """
    if OperatorRegistry.resolve(name) is not None:
        return
    author, _, repository = name.rpartition("/")
    folder = CacheManager()._op_cache_name(author or "towhee", repository, tag)
    if "/" in author or not folder.is_dir():
        near = get_close_matches(repository.replace("-", "_"), operator_names())
        hint = f"did you mean op({near[0]!r})?" if near else f"ours are {operator_names()}"
        raise OperatorNotFound(f"no operator {name!r} on this machine, and the hub is gone; {hint}")
    if (folder / "requirements.txt").exists():
        raise ConfigError(
            f"{folder} holds a requirements.txt, for which Towhee would run pip; install what it "
            "names and take it away"
        )


def require_pipeline(name: str) -> None:
    """Refuse a predefined pipeline that Towhee would download.

    Raises:
        OperatorNotFound: no pipeline of that name is registered, part of Towhee, in its cache or a
            file; the message suggests similar names.
    """
    registered = {*towhee.AutoPipes._PIPES_DEF, *towhee.AutoConfig._REGISTERED_CONFIG}
    if name in registered or get_builtin_pipe_file(name) or Path(name).is_file():
        return
    author, _, repository = name.rpartition("/")
    folder = CacheManager()._pipe_cache_name(author or "towhee", repository, "main")
    if "/" not in author and folder.is_dir():
        return
    builtin = [file.stem for file in BUILT_IN_PIPES_ROOT.glob("[!_]*.py")]
    ours = sorted(pipeline for pipeline in registered if pipeline.startswith("imgsearch_"))
    near = get_close_matches(name.replace("-", "_"), [*ours, *builtin], cutoff=0.5)
    suggestion = f"did you mean {' or '.join(near)}? " if near else ""
    raise OperatorNotFound(
        f"no pipeline {name!r} on this machine, and Towhee's hub is gone: {suggestion}ours are "
        f"{', '.join(ours)}"
    )


@cache
def operator_names() -> list[str]:
    """Return the names of all operator folders, and make Towhee know them, once."""
    folders = sorted(path.parent for path in operator_folders().glob("*/__init__.py"))
    for folder in folders:
        towhee.register(name=f"imgsearch/{folder.name}")(_lazy(folder))
    return [folder.name for folder in folders]


def operator_folders() -> Path:
    """Return the folder of operator folders: the installed copy, else the checkout's.

    Raises:
        OperatorNotFound: neither is there.
    """
    for place in _PLACES:
        if place.is_dir():
            return place
    raise OperatorNotFound("the installation lacks its operator folders; install imgsearch again")


def built(folder: str, args: Sequence[Any], config: Mapping[str, Any]) -> Any:
    """Return the operator of a folder, as public code builds it: without an error.

    Where an operator cannot be built, Towhee writes all its arguments into the error, and public
    code passes passwords among them. So the error waits for the operator's first row.
    """
    try:
        return _load(operator_folders() / folder)(*args, **config)
    except (ImgSearchError, TypeError):  # TypeError: an argument that it does not take
        return _Unbuilt(folder, args, config)


class _Unbuilt(Operator):
    """An operator that could not be built: each row tries again, and raises what comes of it."""

    def __init__(self, folder: str, args: Sequence[Any], config: Mapping[str, Any]) -> None:
        self._recipe = folder, args, config
        self._building = threading.Lock()
        self._built: Any = None

    def __call__(self, *columns: Any) -> Any:
        with self._building:
            if self._built is None:
                folder, args, config = self._recipe
                self._built = _load(operator_folders() / folder)(*args, **config)
        return self._built(*columns)

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the operator's class, such as `supported_model_names`."""
        return getattr(_load(operator_folders() / self._recipe[0]), name)


def _lazy(folder: Path) -> type:
    """Return a stand-in class that loads the folder when it is first called."""

    def new(_: type, *args: Any, **config: Any) -> Any:
        return _load(folder)(*args, **config)

    return type(folder.name, (), {"__new__": new, "shared_type": SharedType.Shareable})


def _load(folder: Path) -> Any:
    name = f"imgsearch._operators.{folder.name}"
    with _LOADING:
        if name not in sys.modules:
            spec = spec_from_file_location(name, folder / "__init__.py")
            if spec is None or spec.loader is None:
                raise OperatorNotFound(f"operator folder {folder.name!r} has no __init__.py")
            sys.modules[name] = module = module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return getattr(sys.modules[name], folder.name)

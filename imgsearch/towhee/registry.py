"""The registry of operator folders, which are available in Towhee as ``ops.imgsearch.<folder>``.

Towhee tries to download operators with unknown names from a hub that no longer exists. So `op`
accepts only registered folders, whose classes are registered with Towhee. The hub's operator names,
which public code uses, are in `names`.
"""

import sys
import threading
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from importlib.util import module_from_spec, spec_from_file_location
from os import PathLike
from pathlib import Path
from typing import Any, Final

from typing_extensions import override

from imgsearch.errors import ConfigError, ImgSearchError, OperatorNotFound
from imgsearch.towhee.imports import (
    BUILT_IN_PIPES_ROOT,
    CacheManager,
    OperatorRegistry,
    SharedType,
    get_builtin_pipe_file,
    towhee,
)
from imgsearch.towhee.kinds import PUBLIC_CALLS, kind_of, suggested
from imgsearch.towhee.names import folder_names, operator_folders
from imgsearch.towhee.operator import Operator

_LOADING: Final = threading.RLock()
_added: dict[str, Path] = {}  # operator folders from `add_operators`, by name


def op(name: str, **config: Any) -> Any:
    """Return the operator `name`, not yet built, for a pipeline's `map`, `flat_map` or `window`.

    The operator is built with `config` when the pipeline is closed. Its values must be plain,
    because Towhee copies them with every step. Every operator takes `on_error`.

    Raises:
        OperatorNotFound: no operator has that name; the message suggests operators of its kind.
    """
    known = [*operator_names(), *_added]
    if name not in known:
        near = suggested(str(name), known) or known
        raise OperatorNotFound(f"no operator {name!r}: use one of {', '.join(near)}.")
    return getattr(towhee.ops.imgsearch, name)(**config)


def add_operators(folder: str | PathLike[str]) -> list[str]:
    """Register the operator folders in `folder` for `op`; return their names, sorted.

    An operator folder NAME has an ``__init__.py`` with a class NAME, preferably an `Operator`. It
    is loaded when its operator is first built. Adding a folder again has no effect.

    Raises:
        ConfigError: `folder` holds no operator folder, or an operator has the same name already.
    """
    root = Path(folder).expanduser().resolve()
    folders = {path.parent.name: path.parent for path in sorted(root.glob("*/__init__.py"))}
    if not folders:
        raise ConfigError(f"no operators in {root}: each is a folder with an __init__.py.")
    taken = [
        name
        for name in folders
        if name in operator_names() or _added.get(name, folders[name]) != folders[name]
    ]
    if taken:
        raise ConfigError(f"an operator {taken[0]!r} exists already. Rename the folder.")
    for name, path in folders.items():
        if name not in _added:
            towhee.register(name=f"imgsearch/{name}")(_stand_in(path))
            _added[name] = path
    return list(folders)


def require_operator(name: str, tag: str) -> None:
    """Check that Towhee can load an operator without a download and without running pip.

    `name` is in Towhee's form: dashes replace underscores, and slashes replace dots.

    Raises:
        OperatorNotFound: the operator is neither registered nor in Towhee's operator folder.
        ConfigError: its folder holds a requirements.txt.
    """
    if OperatorRegistry.resolve(name) is not None:
        return
    author, _, repository = name.rpartition("/")
    folder = CacheManager()._op_cache_name(author or "towhee", repository, tag)
    if "/" in author or not folder.is_dir():
        kind = kind_of(name)
        hint = f"use {kind.written}" if kind else f"ours are {', '.join(PUBLIC_CALLS)}"
        raise OperatorNotFound(
            f"no operator {name!r} on this machine, and Towhee's hub no longer exists: {hint}."
        )
    if (folder / "requirements.txt").exists():
        raise ConfigError(
            f"refused {folder}: Towhee would run pip for its requirements.txt. Install the "
            "packages and delete the file."
        )


def require_pipeline(name: str) -> None:
    """Check that Towhee can load a predefined pipeline without a download.

    Raises:
        OperatorNotFound: `name` is not registered, built into Towhee, in its cache, or a file. The
            message suggests similar names.
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
        f"no pipeline {name!r} on this machine, and Towhee's hub no longer exists: "
        f"{suggestion}ours are {', '.join(ours)}"
    )


def operator_names() -> list[str]:
    """Return the names of the package's operators, sorted; `names.register` registers them.

    Raises:
        OperatorNotFound: the installation lacks its operator folders.
    """
    return list(folder_names())


def build_operator(folder: str, args: Sequence[Any], config: Mapping[str, Any]) -> Any:
    """Return the operator of a folder. If it cannot be built, each row raises the error instead.

    The error is deferred, because Towhee 1.1.3 writes the arguments of an operator that cannot be
    built into its error message, and public code passes passwords as arguments.
    """
    try:
        return load_operator(operator_folders() / folder)(*args, **config)
    except (ImgSearchError, TypeError):  # TypeError: an unknown argument
        return _UnbuiltOperator(folder, args, config)


class _UnbuiltOperator(Operator):
    """An operator that could not be built. Each row tries again, and raises the error."""

    def __init__(self, folder: str, args: Sequence[Any], config: Mapping[str, Any]) -> None:
        self._recipe = folder, args, config
        self._building = threading.Lock()
        self._built: Any = None

    def __call__(self, *columns: Any) -> Any:
        with self._building:
            if self._built is None:
                folder, args, config = self._recipe
                self._built = load_operator(operator_folders() / folder)(*args, **config)
        return self._built(*columns)

    @override
    def end_run(self) -> None:
        if self._built is not None:
            self._built.end_run()

    @override
    def flush(self) -> None:
        if self._built is not None:
            self._built.flush()

    def __getattr__(self, name: str) -> Any:
        """Return an attribute of the operator's class, such as `supported_model_names`."""
        return getattr(load_operator(operator_folders() / self._recipe[0]), name)


def _stand_in(folder: Path) -> type:
    """Return a class that loads the operator folder when it is called."""

    def new(_: type, *args: Any, **config: Any) -> Any:
        return load_operator(folder)(*args, **config)

    return type(folder.name, (), {"__new__": new, "shared_type": SharedType.Shareable})


def load_operator(folder: Path) -> Any:
    """Return the class of an operator folder, which is imported at the first call.

    Raises:
        OperatorNotFound: the folder lacks its ``__init__.py``.
    """
    name = f"imgsearch._operators.{folder.name}"
    with _LOADING:
        if name not in sys.modules:
            spec = spec_from_file_location(name, folder / "__init__.py")
            if spec is None or spec.loader is None:
                raise OperatorNotFound(f"operator folder {folder.name!r} lacks its __init__.py")
            sys.modules[name] = module = module_from_spec(spec)
            try:
                spec.loader.exec_module(module)
            except BaseException:
                del sys.modules[name]
                raise
        return getattr(sys.modules[name], folder.name)

"""The call syntax of Towhee 0.x: a dotted name, column names in brackets, then arguments."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from imgsearch.errors import ConfigError


class Columns(NamedTuple):
    """The columns that a step reads and sets. Both are empty for steps on plain values."""

    read: tuple[str, ...] = ()
    set: tuple[str, ...] = ()

    @classmethod
    def of(cls, index: Any) -> "Columns":
        """Parse the brackets: ``'in', 'out'``, and a tuple of names for several columns.

        Raises:
            ConfigError: the brackets hold something other than names.
        """
        match index:
            case None:
                return cls()
            case (read, set_):
                return cls(names(read), names(set_))
            case _:
                return cls(names(index), names(index))


def names(index: Any) -> tuple[str, ...]:
    """Return column names given as one name or several; "" means no column.

    Raises:
        ConfigError: a name is not a str.
    """
    several = (index,) if isinstance(index, str) else index
    if not isinstance(several, list | tuple) or not all(isinstance(name, str) for name in several):
        raise ConfigError(f"invalid columns {index!r}: write names, such as ['path', 'img'].")
    return tuple(name for name in several if name)


Run: TypeAlias = Callable[[str, Any, tuple[Any, ...], Mapping[str, Any]], Any]
"""Runs a call, given its dotted name, the brackets' content or None, and its arguments."""


class Call:
    """A name that waits for more names, for brackets, and for its arguments."""

    def __init__(self, run: Run, name: str, index: Any = None) -> None:
        self._run, self._name, self._index = run, name, index

    def __getattr__(self, name: str) -> "Call":
        """Return the longer name. Brackets may stand before its end.

        Raises:
            AttributeError: the name begins with an underscore.
        """
        if name.startswith("_"):
            raise AttributeError(name)
        return Call(self._run, f"{self._name}.{name}", self._index)

    def __getitem__(self, index: Any) -> "Call":
        return Call(self._run, self._name, index)

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Run the call."""
        return self._run(self._name, self._index, args, options)

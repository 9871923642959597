"""Sort orders of hits and records: the name of a field, after "-" for descending."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

from imgsearch.errors import ConfigError
from imgsearch.fields import is_null
from imgsearch.text import did_you_mean

T = TypeVar("T")
_LONGEST: Final = 64  # characters of a field name
_ATTRIBUTES: Final = ("id", "score", "distance")


@dataclass(frozen=True, slots=True)
class Order:
    """A sort order. `field` may also be "id", and "score" or "distance" of hits."""

    field: str
    descending: bool = False

    @classmethod
    def parse(cls, text: str) -> Self:
        """Parse ``taken`` or ``-taken``.

        >>> Order.parse("-taken")
        Order(field='taken', descending=True)

        Raises:
            ConfigError: the text is not the name of a field, with or without "-".
        """
        given: object = text  # callers without a type checker may pass anything
        name = given.removeprefix("-") if isinstance(given, str) else ""
        if not name.isidentifier() or len(name) > _LONGEST:
            raise ConfigError(f'invalid order {text!r}: use the name of a field, or "-" and a name')
        return cls(name, name != text)

    def sorted(
        self, items: Iterable[T], fields_of: Callable[[T], Mapping[str, Any]] | None = None
    ) -> list[T]:
        """Return records or hits in order: numbers, then texts. Missing values and "" are last.

        Ties keep their order. `fields_of` returns an item's fields, by default `item.fields`.

        >>> from imgsearch import Hit
        >>> hits = [Hit("a", 0.9, 0.1, {"year": 2019}), Hit("b", 0.8, 0.2, {"year": 2024})]
        >>> [hit.id for hit in Order("year", descending=True).sorted(hits)]
        ['b', 'a']
        """
        present: list[tuple[tuple[bool, Any], T]] = []
        missing: list[T] = []
        for item in items:
            value = self._value(item, fields_of)
            if is_null(value) or value == "":
                missing.append(item)
            else:
                present.append(((isinstance(value, str), value), item))
        present.sort(key=lambda pair: pair[0], reverse=self.descending)
        return [*(item for _, item in present), *missing]

    def require(
        self,
        items: Sequence[T],
        declared: Callable[[], Iterable[str]] = tuple,
        fields_of: Callable[[T], Mapping[str, Any]] | None = None,
    ) -> None:
        """Check that one of the records or hits has the field, or that it is declared.

        Raises:
            ConfigError: the field is unknown.
        """
        names = {
            name
            for item in items
            for name in (item.fields if fields_of is None else fields_of(item))  # type: ignore[attr-defined]  # as in sorted
        }
        if not items or self.field in names or self.field in _ATTRIBUTES:
            return
        names.update(declared())
        if self.field not in names:
            raise unknown_field_error(self.field, names)

    def _value(self, item: Any, fields_of: Callable[[Any], Mapping[str, Any]] | None) -> Any:
        fields = item.fields if fields_of is None else fields_of(item)
        if self.field in fields:
            return fields[self.field]
        return getattr(item, self.field, None) if self.field in _ATTRIBUTES else None


def unknown_field_error(field: str, names: Collection[str]) -> ConfigError:
    """Return the error for a sort order by a field that is not in `names`."""
    return ConfigError(
        f"cannot sort by {field!r}: no image has this field. Fields: "
        f"{', '.join(sorted(names))}{did_you_mean(field, names)}"
    )

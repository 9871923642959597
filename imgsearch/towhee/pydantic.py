"""The part of pydantic 2 that the runtime of Towhee 1.1.3 uses.

Importing pydantic takes 70 ms. `import_hook` gives this module to Towhee's runtime, and to no other
program. Values are checked and converted for the types that Towhee's models declare.
"""

import types
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from enum import Enum
from functools import partial
from typing import Any, ClassVar, Final, Literal, Union, get_args, get_origin

_Convert = Callable[[Any], Any]


class ValidationError(ValueError):
    """A value of a model is missing or invalid. The first fault is reported."""


class _Invalid(ValueError):
    """A value cannot be converted. `_validate` adds the model and the field."""


class Extra:
    """What a model does with values that it does not declare. The default is to ignore them."""

    allow: Final = "allow"


class _Validator:
    """A method that checks or changes the values of `fields`, before or after their conversion."""

    def __init__(self, fields: tuple[str, ...], method: Any, *, pre: bool) -> None:
        self.function = getattr(method, "__func__", method)
        self.pre, self._fields = pre, fields

    def covers(self, field: str) -> bool:
        return field in self._fields or "*" in self._fields


def validator(*fields: str, pre: bool = False) -> Callable[[Any], _Validator]:
    """Return a decorator for a method that checks `fields`; "*" stands for all fields."""
    return lambda method: _Validator(fields, method, pre=pre)


class BaseModel:
    """A record whose values are checked and converted when it is created."""

    _extra: ClassVar[str | None] = None
    _conversions: ClassVar[Mapping[str, _Convert]] = {}  # of the values, by name

    def __init_subclass__(cls, extra: Literal["allow"] | None = None) -> None:
        cls._extra = extra
        validators = [value for value in vars(cls).values() if isinstance(value, _Validator)]
        cls._conversions = {
            name: partial(
                _validate,
                cls,
                name,
                _conversion(declared),
                [validator for validator in validators if validator.covers(name)],
            )
            for name, declared in cls.__annotations__.items()
        }

    def __init__(self, **values: Any) -> None:
        if self._extra == Extra.allow:
            vars(self).update(values)
        for name, convert in self._conversions.items():
            if name in values:
                vars(self)[name] = convert(values[name])
            elif hasattr(type(self), name):
                vars(self)[name] = deepcopy(getattr(type(self), name))
            else:
                raise ValidationError(f"{type(self).__name__}.{name} is missing")


def _validate(
    model: type[BaseModel], name: str, convert: _Convert, validators: list[_Validator], value: Any
) -> Any:
    try:
        for validator in reversed(validators):  # pydantic 2 calls the last one first
            if validator.pre:
                value = validator.function(model, value)
        value = convert(value)
        for validator in validators:
            if not validator.pre:
                value = validator.function(model, value)
    except ValidationError:
        raise
    except (ValueError, AssertionError) as error:
        raise ValidationError(f"{model.__name__}.{name}: {error}") from error
    return value


def _conversion(declared: Any) -> _Convert:
    """Return the function that converts a value to the declared type, or raises a ValueError.

    Raises:
        TypeError: Towhee's models declare no such type.
    """
    origin, arguments = get_origin(declared) or declared, get_args(declared)
    if origin in (Union, types.UnionType):
        return partial(_union, [_conversion(argument) for argument in arguments])
    if origin in _SCALARS:
        return _SCALARS[origin]
    if origin is dict:
        return partial(_dict, *map(_conversion, arguments or (Any, Any)))
    if origin in (list, tuple, set):
        return partial(_collection, origin, _conversion(arguments[0] if arguments else Any))
    if isinstance(declared, type) and issubclass(declared, BaseModel):
        return partial(_model, declared)
    if isinstance(declared, type) and issubclass(declared, Enum):
        return declared
    raise TypeError(f"a model declares {declared}, which is not supported")


def _union(conversions: list[_Convert], value: Any) -> Any:
    for convert in conversions[:-1]:
        try:
            return convert(value)
        except ValueError:
            continue
    return conversions[-1](value)


def _model(model: type[BaseModel], value: Any) -> BaseModel:
    if isinstance(value, model):
        return value
    if not isinstance(value, dict):
        raise _Invalid(f"{value!r} is neither a {model.__name__} nor a dictionary")
    return model(**value)


def _collection(kind: Callable[..., Any], convert: _Convert, value: Any) -> Any:
    if isinstance(value, str | bytes | bytearray | Mapping) or not isinstance(value, Iterable):
        raise _Invalid(f"{value!r} is not a list or tuple")
    return kind(map(convert, value))


def _dict(convert_key: _Convert, convert: _Convert, value: Any) -> dict[Any, Any]:
    if not isinstance(value, Mapping):
        raise _Invalid(f"{value!r} is not a dictionary")
    return {convert_key(key): convert(item) for key, item in value.items()}


def _none(value: Any) -> None:
    if value is not None:
        raise _Invalid(f"{value!r} is not None")


def _str(value: Any) -> str:
    if isinstance(value, str):
        return value
    raise _Invalid(f"{value!r} is not a string")


def _int(value: Any) -> int:
    try:
        number = int(value)
    except (TypeError, OverflowError) as error:
        raise _Invalid(f"{value!r} is not an integer") from error
    if not isinstance(value, str) and number != value:
        raise _Invalid(f"{value!r} is not an integer")
    return number


def _bool(value: Any) -> bool:
    if value in (True, False):  # also 0 and 1
        return bool(value)
    raise _Invalid(f"{value!r} is neither True nor False")


def _callable(value: Any) -> Any:
    if callable(value):
        return value
    raise _Invalid(f"{value!r} is not callable")


def _any(value: Any) -> Any:
    return value


_SCALARS: Final[dict[Any, _Convert]] = {
    Any: _any,
    type(None): _none,
    str: _str,
    int: _int,
    bool: _bool,
    Callable: _callable,
}

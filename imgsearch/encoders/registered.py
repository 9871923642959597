"""Encoders that users and other packages register by name."""

import json
import re
import threading
from collections.abc import Mapping
from os import PathLike, fspath
from typing import Any, Final, Protocol, cast

from imgsearch import plugins
from imgsearch.encoders import registry
from imgsearch.encoders.base import Encoder
from imgsearch.encoders.own import ImageModel, as_encoder
from imgsearch.encoders.registry import Model
from imgsearch.encoders.weights.files import plain_options
from imgsearch.errors import ConfigError, ImgSearchError, ModelNotFound

OWN: Final = "own"
"""The family of objects, which are named ``own:NAME``."""

_BUILT_IN: Final = frozenset({"timm", "clip", "towhee", OWN})
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,99}")
_lock = threading.RLock()


class Factory(Protocol):
    """Builds an encoder: an `Encoder`, or an object with the attributes of `ImageModel`."""

    def __call__(self, name: str, /, *, weights: str | None = None, **options: Any) -> object:
        """Return the encoder for what follows the colon of ``FAMILY:NAME``, "" without one."""


_factories: Final[dict[str, Factory]] = {}
_objects: Final[dict[str, object]] = {}
_built: Final[dict[tuple[str, str], Encoder]] = {}


def register_encoder(name: str, factory: Factory) -> None:
    """Register an encoder, which `model` then names everywhere: ``NAME`` or ``NAME:ANYTHING``.

    `factory` is called with what follows the colon, with ``weights`` and with the user's options,
    once for equal arguments. It returns an `ImageModel` or an `Encoder`. A later registration of a
    name replaces an earlier one. The command line finds encoders of installed packages by the entry
    points ``imgsearch.encoders``.

    >>> class Brightness:
    ...     name, version, dim = "brightness", "1", 2
    ...
    ...     def encode_images(self, images):
    ...         return [[image.mean(), 255.0] for image in images]
    >>> register_encoder("brightness", lambda name, weights=None: Brightness())
    >>> find("brightness") is not None
    True

    Raises:
        ConfigError: the name is invalid or belongs to imgsearch, or `factory` cannot be called.
    """
    if not _NAME.fullmatch(str(name)) or str(name) != name:
        raise ConfigError(f"invalid name {name!r} of an encoder: use a-z, 0-9, -, _ and .")
    if _is_built_in(name):
        raise ConfigError(f"the encoder {name!r} is imgsearch's own. Choose another name.")
    if not callable(factory):
        raise ConfigError(f"the factory of {name!r} is a {type(factory).__name__}: give a function")
    with _lock:
        _factories[name] = factory
        _forget(name)


def model_name(encoder: object) -> str:
    """Return the name for `encoders.load` of an encoder object, which is kept for that.

    Raises:
        ConfigError: the object is not an encoder.
    """
    if isinstance(encoder, Encoder):
        name = getattr(getattr(encoder, "fingerprint", None), "model", "")
    elif isinstance(encoder, type) or not isinstance(encoder, ImageModel):
        raise ConfigError(
            f"invalid model of type {type(encoder).__name__}: give a name such as 'lite', an "
            "imgsearch.Encoder, or an object with name, version, dim and encode_images"
        )
    else:
        name = encoder.name
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ConfigError(f"the encoder has the name {name!r}: give a text")
    model = f"{OWN}:{name.removeprefix(f'{OWN}:')}"
    with _lock:
        if _objects.get(model) is not encoder:
            as_encoder(encoder, model)  # checks it
            _objects[model] = encoder
            _forget(model)
    return model


def find(model: object) -> Factory | None:
    """Return the factory of a registered encoder or of a package's, or None for other names.

    Raises:
        ModelNotFound: the model is an object that this process did not pass to `open`.
        PluginFailed: the package cannot be imported.
    """
    if not isinstance(model, str):
        return None  # an error for `load_arguments.parse`
    family, _, _ = model.partition(":")
    if family == OWN:
        if model not in _objects:
            raise ModelNotFound(
                f"the encoder {model.partition(':')[2]!r} is an object of a program, which is not "
                "stored. Pass it again: imgsearch.open(…, model=encoder)."
            )
        return _its_object(_objects[model])
    if _is_built_in(model):
        return None
    with _lock:
        if family not in _factories and (loaded := plugins.load(plugins.ENCODERS, family)):
            if not callable(loaded):
                package = plugins.names(plugins.ENCODERS)[family]
                reason = "it is not a function"
                raise plugins.broken(plugins.ENCODERS, family, package, reason)
            _factories[family] = loaded
        return _factories.get(family)


def load(
    model: str,
    factory: Factory,
    weights: str | PathLike[str] | None,
    options: Mapping[str, Any] | None,
) -> Encoder:
    """Return the encoder that a factory builds; equal arguments return the same object.

    Raises:
        ConfigError: the factory does not take these options, or returned no encoder.
        ImgSearchError: an error of the factory.
    """
    path = None if weights is None else fspath(weights)
    plain = plain_options(options)
    key = (model, json.dumps([path, plain]))
    with _lock:
        if key not in _built:
            arguments: dict[str, Any] = {**plain, **({} if path is None else {"weights": path})}
            try:
                built = factory(model.partition(":")[2], **arguments)
                _built[key] = as_encoder(built, model)
            except ImgSearchError:
                raise
            except Exception as error:
                raise ConfigError(
                    f"the encoder {model!r} cannot be built: {type(error).__name__}: {error}"
                ) from error
        return _built[key]


def rows() -> list[Model]:
    """Return the rows of own encoders and of packages, for lists; imports no package."""
    packages = plugins.names(plugins.ENCODERS)
    names = [*_factories, *(name for name in packages if name not in _factories)]
    return [
        Model(
            name,
            "plugin",
            description=f"of the package {packages[name]}" if name in packages else "registered",
        )
        for name in names
        if not _is_built_in(name)
    ]


def _its_object(encoder: object) -> Factory:
    """Return a factory that returns this object, and takes no options."""

    def build(_name: str, /) -> object:
        return encoder

    return cast("Factory", build)


def _is_built_in(model: str) -> bool:
    return model.partition(":")[0] in _BUILT_IN or registry.find(model) is not None


def _forget(name: str) -> None:
    for key in [key for key in _built if key[0] == name or key[0].startswith(f"{name}:")]:
        del _built[key]

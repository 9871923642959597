"""The encoders that a library can be created with, and their weights on this machine."""

from fnmatch import fnmatchcase

from imgsearch import encoders
from imgsearch.encoders import DEFAULT, Model, Recipe, on_disk, pull
from imgsearch.errors import ModelNotFound
from imgsearch.text import did_you_mean

__all__ = [
    "DEFAULT",
    "Model",
    "Recipe",
    "described",
    "family_names",
    "no_match_error",
    "on_disk",
    "pull",
]


def described(pattern: str = "*") -> list[Model]:
    """Return the models that imgsearch can load and whose name or alias matches a glob.

    >>> [model.name for model in described("classic")]
    ['classic']
    """
    return [
        model
        for model in encoders.models()
        if any(fnmatchcase(name, pattern) for name in (model.name, *model.aliases))
    ]


def family_names(pattern: str) -> list[str]:
    """Return the models of one Python package that match a glob, as `--model` names.

    "clip:*" searches open_clip, "towhee:*" towhee.models, and any other pattern timm.

    Raises:
        MissingExtra: the package is not installed.
    """
    if pattern.startswith("clip:"):
        return encoders.clip_names(pattern)
    if pattern.startswith("towhee:"):
        return encoders.towhee_names(pattern)
    return encoders.timm_names(pattern)


def no_match_error(pattern: str) -> ModelNotFound:
    """Return the error for a pattern that matches no model; it suggests similar names."""
    known = [name for model in encoders.models() for name in (model.name, *model.aliases)]
    return ModelNotFound(f"no model matches {pattern!r}{did_you_mean(pattern, known)}")

"""Checks model names, mostly without importing timm or open_clip."""

from importlib.util import find_spec
from pathlib import Path

from imgsearch.errors import MissingExtra

_FAMILIES = {"timm": "timm", "clip": "open_clip"}  # family → the package of its models


def check(family: str, name: str) -> None:
    """Check a model's name in a family, such as "resnet50.a1_in1k" in "timm".

    Importing timm or open_clip takes seconds, so their files are searched for the name first. Any
    name passes if the library is not installed, because an export runs without it.

    Raises:
        ModelNotFound: the library does not have the model, or not the weights with this tag.
        EncoderError: the library cannot be imported.
    """
    if family == "towhee":
        from imgsearch.encoders.clip.towhee_clip import open_clip_name

        open_clip_name(name)
        return
    folder = _package_folder(_FAMILIES[family])
    known = _in_timm if family == "timm" else _in_open_clip
    if folder is not None and not known(folder, name):
        _check_by_import(family, name)


def _package_folder(package: str) -> Path | None:
    try:
        spec = find_spec(package)
    except ValueError:  # its entry in sys.modules is None, which blocks the import
        return None
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _in_timm(folder: Path, name: str) -> bool:
    arch, _, tag = name.partition(".")
    wanted = {f"def {arch}(".encode()} | ({f"'{name}'".encode()} if tag else set())
    for file in (folder / "models").glob("*.py"):
        source = file.read_bytes()
        wanted = {text for text in wanted if text not in source}
        if not wanted:
            return True
    return False


def _in_open_clip(folder: Path, name: str) -> bool:
    arch, _, tag = name.partition("/")
    if Path(arch).name != arch or not (folder / "model_configs" / f"{arch}.json").is_file():
        return False
    return not tag  # only open_clip knows the tags of a model


def _check_by_import(family: str, name: str) -> None:
    """Check the name with the library, whose error message lists similar models."""
    try:
        if family == "timm":
            from imgsearch.encoders.timm import encoder

            encoder.check_name(name)
        else:
            from imgsearch.encoders.clip import model

            model.check_name(name)
    except MissingExtra:
        return

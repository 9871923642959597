"""Whether a library has a model of some name, mostly without importing the library."""

from importlib.util import find_spec
from pathlib import Path

from imgsearch.errors import MissingExtra

_FAMILIES = {"timm": "timm", "clip": "open_clip"}  # family → the package that has its models


def check(family: str, name: str) -> None:
    """Check the name of a model of a family, as "timm" and "resnet50.a1_in1k".

    Importing timm or open_clip takes seconds, so their files are searched for the name first. A
    library that is not installed has every name, because an export runs without it.

    Raises:
        ModelNotFound: the library has no such model, or no such weights of it.
        EncoderError: the library cannot be imported.
    """
    if family == "towhee":
        from imgsearch.encoders.clip.towhee_clip import theirs

        theirs(name)
        return
    folder = _folder(_FAMILIES[family])
    known = _in_timm if family == "timm" else _in_open_clip
    if folder is not None and not known(folder, name):
        _ask(family, name)


def _folder(package: str) -> Path | None:
    try:
        spec = find_spec(package)
    except ValueError:  # barred from being imported: its entry in sys.modules is None
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
    return not tag  # which tags belong to which model is known to open_clip alone


def _ask(family: str, name: str) -> None:
    """Have the library itself say what is wrong with the name, and what is like it."""
    try:
        if family == "timm":
            from imgsearch.encoders.timm import encoder

            encoder.check_name(name)
        else:
            from imgsearch.encoders.clip import model

            model.check_name(name)
    except MissingExtra:
        return

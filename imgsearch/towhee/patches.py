"""What is altered in Towhee's modules as they are imported; called by `imgsearch` itself.

Imports nothing of Towhee: this runs while Towhee is being imported.
"""

import base64
import functools
from typing import Any, Final, NoReturn

import numpy as np

from imgsearch.errors import ConfigError, ImageError, MissingExtra, OperatorNotFound
from imgsearch.towhee.names import register
from imgsearch.types import Pixels

FORMATS: Final = ("pytorch", "onnx")
"""Model formats that Towhee's ``supported_model_names`` may ask for."""

_SIDE: Final = 128  # pixels: what Towhee's own cells are


def alter_towhee(towhee: Any) -> None:
    """Register our operators; let Towhee refuse an operator that it would download."""
    manager = towhee.runtime.operator_manager
    register(manager.OperatorRegistry.REGISTRY, towhee.operator.SharedType.Shareable)
    for table, method in (
        (towhee.runtime.AutoPipes, "pipeline"),
        (towhee.runtime.AutoConfig, "load_config"),
    ):
        if not hasattr(getattr(table, method), "__wrapped__"):
            setattr(table, method, staticmethod(_local(getattr(table, method))))
    refuse_downloads(towhee.hub.cache_manager)
    loader = manager.OperatorLoader
    load = loader._load_operator_from_hub
    if not hasattr(load, "__wrapped__"):

        @functools.wraps(load)
        def checked(self: Any, function: str, args: Any, config: Any, tag: str, latest: Any) -> Any:
            from imgsearch.towhee.registry import require

            require(function, tag)
            return load(self, function, args, config, tag, latest)

        loader._load_operator_from_hub = checked


def _local(load: Any) -> Any:
    """Return Towhee's function `load`, which loads a pipeline by name, without its downloads."""

    @functools.wraps(load)
    def checked(name: str, *args: Any, **config: Any) -> Any:
        from imgsearch.towhee.registry import require_pipeline

        require_pipeline(name)
        return load(name, *args, **config)

    return checked


def refuse_downloads(module: Any) -> None:
    """Refuse every download from Towhee's hub, because the host is gone and downloads would run.

    `require` and `require_pipeline` refuse unknown names earlier and suggest similar ones.
    """
    module.download_operator = functools.partial(refuse_download, "operator")
    module.download_pipeline = functools.partial(refuse_download, "pipeline")


def refuse_download(
    kind: str, author: str, repository: str, *_rest: Any, **_options: Any
) -> NoReturn:
    """Raise in place of a download from Towhee's hub.

    Raises:
        OperatorNotFound: always.
    """
    raise OperatorNotFound(
        f"no {kind} {author}/{repository} on this machine, and Towhee's hub is gone: nothing is "
        "downloaded from there"
    )


def alter_html_table(module: Any) -> None:
    """Draw images into `DataCollection.show`'s table without OpenCV and matplotlib, upright."""
    module._image_to_html_cell = cell


def alter_dependency_control(module: Any) -> None:
    """Let Towhee say what is missing, instead of running pip for it."""
    module.prompt_install = refuse


def refuse(package: str) -> NoReturn:
    """Raise in place of ``pip install``.

    Raises:
        MissingExtra: always.
    """
    raise MissingExtra(f"Towhee misses {package}: pip install {package}")


def cell(image: Any, width: int = _SIDE, height: int = _SIDE) -> str:
    """Return an image as an HTML element that holds it, `width` x `height` pixels at most."""
    from imgsearch.images import thumbnail

    pixels = np.clip(rgb(image), 0, 255).astype(np.uint8)
    data = base64.b64encode(thumbnail(pixels, side=max(width, height))).decode()
    style = f"max-width: {width}px; max-height: {height}px; padding: 2px"
    return f'<img src="data:image/jpeg;base64,{data}" style="{style}">'


def rgb(image: Any) -> Pixels:
    """Return an image's pixels in RGB, by the `mode` that it carries; plain arrays are RGB.

    Raises:
        ImageError: the mode is none of RGB, BGR, GRAY and L.
    """
    mode = str(getattr(image, "mode", None) or "RGB").upper()
    pixels: Pixels = np.asarray(image)
    match mode:
        case "RGB":
            return pixels
        case "BGR":
            return np.ascontiguousarray(pixels[..., ::-1])
        case "GRAY" | "L":
            return np.repeat(pixels.reshape(*pixels.shape[:2], 1), 3, axis=2)
    raise ImageError(f"cannot make RGB of {mode!r}", stage="convert", reason="colour mode")


def device_word(device: Any) -> str:
    """Return the encoders' word for a device; numbers are GPUs, -1 none, as elsewhere in Towhee."""
    match device:
        case None:
            return "auto"
        case int():
            return "cpu" if device < 0 else f"cuda:{device}"
        case _:
            return str(device)


def check_format(name: str | None) -> None:
    """Check the `format` of Towhee's ``supported_model_names``; every model here has all formats.

    Raises:
        ConfigError: `name` is neither None nor one of `FORMATS`.
    """
    if name is not None and name not in FORMATS:
        raise ConfigError(f"unknown model format {name!r}: use {' or '.join(FORMATS)}, or None")

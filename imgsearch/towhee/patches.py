"""Patches for Towhee 1.1.3's modules, and the conventions of its operators that ours replace.

It does not import Towhee, because it runs during Towhee's import; see `import_hook`.
"""

import base64
import functools
from collections.abc import Callable
from typing import Any, Final, NoReturn

import numpy as np

from imgsearch.errors import ConfigError, ImageError, MissingExtra
from imgsearch.settings import Settings
from imgsearch.towhee import downloader
from imgsearch.towhee.names import register
from imgsearch.types import Pixels

FORMATS: Final = ("pytorch", "onnx")
"""The values of `format` in Towhee's ``supported_model_names``."""

_SIDE: Final = 128  # pixels, the default of Towhee's own table cells


def patch_towhee(towhee: Any) -> None:
    """Register our operators, and refuse operators and pipelines that Towhee would download."""
    manager = towhee.runtime.operator_manager
    register(manager.OperatorRegistry.REGISTRY, towhee.operator.SharedType.Shareable)
    towhee.__getattr__ = _legacy  # called for names that Towhee 1.x lacks
    for table, method in (
        (towhee.runtime.AutoPipes, "pipeline"),
        (towhee.runtime.AutoConfig, "load_config"),
    ):
        if not hasattr(getattr(table, method), "__wrapped__"):
            setattr(table, method, staticmethod(_without_downloads(getattr(table, method))))
    pipeline, wrapper = towhee.runtime.runtime_pipeline.RuntimePipeline, towhee.runtime.factory
    for kind, method, operators in (
        (pipeline, "__call__", _pooled),
        (pipeline, "batch", _pooled),
        (wrapper._OperatorWrapper, "__call__", lambda called: [called._op]),
    ):
        if not hasattr(getattr(kind, method), "__wrapped__"):
            setattr(kind, method, _ending_run(getattr(kind, method), operators))
    refuse_downloads(towhee.hub.cache_manager)
    loader = manager.OperatorLoader
    load = loader._load_operator_from_hub
    if not hasattr(load, "__wrapped__"):

        @functools.wraps(load)
        def checked(self: Any, function: str, args: Any, config: Any, tag: str, latest: Any) -> Any:
            from imgsearch.towhee.registry import require_operator

            require_operator(function, tag)
            return load(self, function, args, config, tag, latest)

        loader._load_operator_from_hub = checked


def _legacy(name: str) -> Any:
    """Return what Towhee 0.x has under a name; see `legacy.find`."""
    from imgsearch.towhee.legacy import find

    return find(name)


def _ending_run(call: Any, operators: Callable[[Any], list[Any]]) -> Any:
    """Wrap `call`, Towhee's method that runs operators, to call their `Operator.end_run`."""

    @functools.wraps(call)
    def run(self: Any, *inputs: Any, **options: Any) -> Any:
        from imgsearch.towhee.operator import Operator

        result = call(self, *inputs, **options)
        for operator in operators(self):
            if isinstance(operator, Operator):
                operator.end_run()
        return result

    return run


def _pooled(pipeline: Any) -> list[Any]:
    """Return the operators of a closed pipeline."""
    storages = list(pipeline._operator_pool._all_ops.values())
    return [operator for storage in storages for operator in storage._ops]


def _without_downloads(load: Any) -> Any:
    """Wrap `load`, Towhee's function that loads a pipeline by name, to refuse downloads."""

    @functools.wraps(load)
    def checked(name: str, *args: Any, **config: Any) -> Any:
        from imgsearch.towhee.registry import require_pipeline

        require_pipeline(name)
        return load(name, *args, **config)

    return checked


def refuse_downloads(module: Any) -> None:
    """Make Towhee's download functions raise an error, if Towhee was imported before imgsearch."""
    module.download_operator = downloader.download_operator
    module.download_pipeline = downloader.download_pipeline


def patch_html_table(module: Any) -> None:
    """Show images upright in `DataCollection.show`, without OpenCV and matplotlib."""
    module._image_to_html_cell = html_cell
    patch_console_table(module)


def patch_console_table(module: Any) -> None:
    """Show NumPy's numbers in `DataCollection.show` as NumPy 1 does: 0.5, not np.float32(0.5)."""
    for name in ("_ndarray_brief", "_default_brief"):
        setattr(module, name, _plain_numbers(getattr(module, name)))


def _plain_numbers(brief: Callable[..., str]) -> Callable[..., str]:
    @functools.wraps(brief)
    def show(*args: Any, **options: Any) -> str:
        with np.printoptions(legacy="1.25"):
            return brief(*args, **options)

    return show


def patch_dependency_control(module: Any) -> None:
    """Raise an error for a missing package instead of running pip."""
    module.prompt_install = refuse_install


def refuse_install(package: str) -> NoReturn:
    """Refuse ``pip install``.

    Raises:
        MissingExtra: always.
    """
    raise MissingExtra(
        f"Towhee needs {package}, which is not installed. Run pip install {package}."
    )


def html_cell(image: Any, width: int = _SIDE, height: int = _SIDE) -> str:
    """Return an HTML element that embeds an image, at most `width` x `height` pixels."""
    from imgsearch.images import thumbnail

    pixels = np.clip(to_rgb(image), 0, 255).astype(np.uint8)
    data = base64.b64encode(thumbnail(pixels, side=max(width, height))).decode()
    style = f"max-width: {width}px; max-height: {height}px; padding: 2px"
    return f'<img src="data:image/jpeg;base64,{data}" style="{style}">'


def to_rgb(image: Any) -> Pixels:
    """Return an image's pixels in RGB. An image without a `mode` is RGB.

    Raises:
        ImageError: the mode is not RGB, BGR, GRAY or L.
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
    raise ImageError(
        f"cannot convert an image of mode {mode!r} to RGB: use RGB, BGR, GRAY or L.",
        stage="convert",
        reason="color mode",
    )


def device_name(device: Any) -> str:
    """Convert Towhee's device to an encoder's: -1 is "cpu", n is "cuda:n", None is "auto"."""
    match device:
        case None:
            return "auto"
        case int():
            return "cpu" if device < 0 else f"cuda:{device}"
        case _:
            return str(device)


def check_format(name: str | None) -> None:
    """Check the `format` of Towhee's ``supported_model_names``. Our models have all formats.

    Raises:
        ConfigError: `name` is neither None nor one of `FORMATS`.
    """
    if name is not None and name not in FORMATS:
        raise ConfigError(f"unknown model format {name!r}: use {' or '.join(FORMATS)}, or None")


def detector_folder() -> str:
    """Return the folder of IMGSEARCH_DETECTOR, because the hub's detectors take no weights.

    Raises:
        ConfigError: it is not set.
    """
    settings = Settings.from_environment()
    if settings.detector is None:
        raise ConfigError(
            "ops.object_detection needs a detector's folder, because Towhee's hub no longer "
            "exists. Pass weights=FOLDER, or set IMGSEARCH_DETECTOR: the folder of an object "
            "detector of transformers, such as RT-DETR, or for OpenCV; see docs/detectors.md."
        )
    return str(settings.detector)


def refuse_training() -> NoReturn:
    """Raise the error for the hub's ``train`` methods.

    Raises:
        ConfigError: always.
    """
    raise ConfigError(
        "operators are not trained here. `imgsearch train DATASET --model timm:NAME --to FILE` "
        "trains the last layers of an image model; fine-tune CLIP with open_clip, and pass "
        "checkpoint_path=FILE."
    )

"""torch, torchvision and timm, imported together and mended where they do not fit."""

import logging
import sys
import threading
from typing import Any, Final

from imgsearch.errors import EncoderError, MissingExtra

PACKAGES: Final = ("torch", "torchvision", "timm", "safetensors")
_log = logging.getLogger(__name__)
_lock = threading.Lock()
_kept: Final[list[object]] = []  # torch forgets operators when their library is collected


def frameworks() -> tuple[Any, Any]:
    """Return the modules torch and timm, imported on the first call.

    torchvision 0.28 from PyPI is built for CUDA. Beside a CPU torch its import fails, and timm's
    with it, for want of two operators' schemas; on that very error these are declared
    (https://github.com/pytorch/vision/issues/9077). Its ``ops.nms`` then stays unusable; timm's
    models do not call it. Where torchvision imports normally nothing is touched.

    Raises:
        MissingExtra: one of `PACKAGES` is not installed.
        EncoderError: they are installed, but cannot be imported.
    """
    with _lock:
        try:
            import safetensors  # noqa: F401  # `_read` wants it; that it is missing is told here
            import torch

            _import_torchvision(torch)
            import timm
        except ModuleNotFoundError as error:
            if error.name not in PACKAGES:
                raise EncoderError(f"timm does not import: {error}; reinstall it") from error
            raise MissingExtra(
                f"timm models need {error.name}", extra="torch", name=error.name
            ) from error
        except (ImportError, RuntimeError, OSError) as error:
            raise EncoderError(f"torch and timm do not import together: {error}") from error
        return torch, timm


def _import_torchvision(torch: Any) -> None:
    try:
        import torchvision  # timm needs it
    except RuntimeError as error:
        if "operator torchvision::nms does not exist" not in str(error):
            raise
        for module in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[module]
        library = torch.library.Library("torchvision", "DEF")
        for operator in ("nms", "qnms"):
            library.define(f"{operator}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _kept.append(library)
        import torchvision  # noqa: F401  # once more, whole now

        _log.info("declared torchvision's operators: it is built for another torch")

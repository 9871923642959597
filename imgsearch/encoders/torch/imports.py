"""Imports of torch, torchvision and timm, with a fix for incompatible builds."""

import logging
import sys
import threading
from contextlib import suppress
from typing import Any, Final

from imgsearch.errors import EncoderError, MissingExtra

PACKAGES: Final = ("torch", "torchvision", "timm", "safetensors")
_log = logging.getLogger(__name__)
_lock = threading.Lock()
# torch drops operators when their library is garbage-collected
_libraries: Final[list[object]] = []


def frameworks() -> tuple[Any, Any]:
    """Return the modules torch and timm, imported on the first call.

    torchvision 0.28 from PyPI is built for CUDA. With a CPU build of torch its import fails, and
    so does timm's, because the schemas of two operators are missing. On this error the schemas are
    declared (https://github.com/pytorch/vision/issues/9077). ``ops.nms`` remains unusable, but
    timm's models do not call it.

    Raises:
        MissingExtra: one of `PACKAGES` is not installed.
        EncoderError: a package is installed, but cannot be imported.
    """
    with _lock:
        try:
            import safetensors  # noqa: F401  # reported here if it is missing
            import torch

            _import_torchvision(torch)
            import timm
        except ModuleNotFoundError as error:
            if error.name not in PACKAGES:
                raise EncoderError(f"cannot import timm: {error}. Reinstall it.") from error
            raise MissingExtra(
                f"timm models need {error.name}", extra="torch", name=error.name
            ) from error
        except (ImportError, RuntimeError, OSError) as error:
            raise EncoderError(f"cannot import torch and timm together: {error}") from error
        return torch, timm


def declare_torchvision() -> None:
    """Import torchvision with its missing operators, for Towhee's modules; see `frameworks`.

    Does nothing if a package is missing, because the import that follows raises the error.
    """
    with _lock, suppress(ModuleNotFoundError):
        import torch

        _import_torchvision(torch)


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
        _libraries.append(library)
        import torchvision  # noqa: F401  # the second import succeeds

        _log.info("declared operators of torchvision, which is built for another torch")

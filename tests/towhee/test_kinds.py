"""Unknown operators are answered by what they do, not by their letters."""

import pytest

from imgsearch.errors import OperatorNotFound
from imgsearch.towhee import Pipeline, op, operator_names
from imgsearch.towhee.imports import towhee
from imgsearch.towhee.kinds import KINDS, kind_of, suggested
from imgsearch.towhee.names import PUBLIC


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image-text-embedding/blip", "ops.image_text_embedding.clip"),
        ("towhee/clip4clip", "ops.image_text_embedding.clip"),
        ("image-embedding/swinv2", "ops.image_embedding.timm"),
        ("acme/resnet", "ops.image_embedding.timm"),
        ("ann-insert/elasticsearch", "ops.ann_insert.milvus_client"),
        ("ann-search/osschat-milvus", "ops.ann_search.milvus_client"),
        ("object-detection/yolox", "ops.object_detection.yolov5"),
        ("towhee/image-crop-2", "ops.image_crop"),
        ("image-decode/nvjpeg", "ops.image_decode"),
        ("sentence-embedding/transformers", 'op("text_embedding")'),
        ("nobody/normalise", "ops.towhee.np_normalize"),
        ("ocr/paddle", 'op("image_text")'),
    ],
)
def test_kind_is_read_from_the_task(name, expected):
    kind = kind_of(name)
    assert kind is not None
    assert kind.written.startswith(expected)


@pytest.mark.parametrize(
    "name", ["mystery", "image-captioning/blip", "video-decode/ffmpeg", "", "größe/x"]
)
def test_other_kinds_have_no_suggestion(name):
    assert kind_of(name) is None


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("image_crop", ["towhee_crop", "object_regions"]),  # spelled like image_decode
        ("image_decoed", ["image_decode"]),
        ("insert", ["vector_insert", "milvus_insert", "tcvdb_insert", "faiss_insert"]),
        ("mystery", []),
    ],
)
def test_suggestions_for_op(name, expected):
    assert suggested(name, operator_names()) == expected


def test_errors_say_what_to_write():
    blip = towhee.ops.image_text_embedding.blip(model_name="blip_base", modality="text")
    with pytest.raises(OperatorNotFound, match=r"use ops\.image_text_embedding\.clip\(model_name"):
        Pipeline.input("text").map("text", "vec", blip).output("vec")
    with pytest.raises(OperatorNotFound, match=r"ours are ops\.image_crop\(clamp=True\), "):
        Pipeline.input("x").map("x", "y", towhee.ops.mystery()).output("y")
    with pytest.raises(OperatorNotFound, match="use one of towhee_crop, object_regions"):
        op("image_crop")


def test_every_suggestion_exists():
    known = operator_names()
    for kind in KINDS:
        assert set(kind.folders) <= set(known)
        if kind.written.startswith("ops."):
            name = kind.written.partition("(")[0].removeprefix("ops.")
            assert name.replace("_", "-").replace(".", "/") in PUBLIC
        else:
            assert kind.written.split('"')[1] in known

"""Suggests operators by the task of an unknown operator, because similar letters mislead.

For example, `image_crop` is spelled like `image_decode`.
"""

import re
from difflib import get_close_matches
from typing import Final, NamedTuple


class Kind(NamedTuple):
    """What operators do: words of their names, and ours, in Towhee's spelling and for `op`."""

    words: str  # a regular expression
    written: str
    folders: tuple[str, ...]


# The first match counts, so a kind with special words precedes one with general words.
KINDS: Final = (
    Kind("crop", "ops.image_crop(clamp=True)", ("towhee_crop", "object_regions")),
    Kind(
        "detect|yolo|rcnn|detr",
        "ops.object_detection.yolov5(weights=FOLDER)",
        ("towhee_detection", "object_regions"),
    ),
    Kind("normali[sz]e|^norm|norm$", "ops.towhee.np_normalize()", ("normalize",)),
    Kind("reduc|project|pca", 'op("vector_reduce")', ("vector_reduce",)),
    Kind("ocr|recogni|read_?text", 'op("image_text")', ("image_text",)),
    Kind(
        "(image|video)_?text|text_?(image|video)|clip",
        "ops.image_text_embedding.clip(model_name=…, modality=…)",
        ("towhee_clip", "text_embedding", "image_embedding"),
    ),
    Kind(
        "(text|sentence|word).*(embed|transform|encod)",
        'op("text_embedding")',
        ("text_embedding", "query_embedding"),
    ),
    Kind(
        "insert|upsert|to_?(milvus|faiss|tcvdb)|write|store|index_build",
        "ops.ann_insert.milvus_client(…)",
        ("vector_insert", "milvus_insert", "tcvdb_insert", "faiss_insert"),
    ),
    Kind(
        "search|query|retriev|(milvus|faiss|tcvdb)",
        "ops.ann_search.milvus_client(…)",
        ("vector_search", "milvus_search", "tcvdb_search", "faiss_search"),
    ),
    Kind("preprocess|resize|transform", 'op("image_preprocess")', ("image_preprocess",)),
    Kind(
        "^(?!video|audio).*decode|imread|open_?image",
        "ops.image_decode()",
        ("image_decode", "towhee_decode"),
    ),
    Kind(
        "embed|vector|feature|encod|backbone|timm|resnet|vit|vgg|efficientnet|swin",
        "ops.image_embedding.timm(model_name=…)",
        ("image_embedding", "towhee_timm"),
    ),
    Kind("load|read|glob|list|csv", 'op("image_load")', ("image_load", "image_read")),
)

PUBLIC_CALLS: Final = tuple(kind.written for kind in KINDS)
"""A call for each kind, as a user writes it."""


def kind_of(name: str) -> Kind | None:
    """Return the kind of an operator's name, such as "ann-insert/es", or None.

    The task in front of the last dot or slash decides; without a task, the name.
    """
    task, _, model = re.sub("-", "_", name.lower()).replace(".", "/").rpartition("/")
    task = task.removeprefix("towhee/")
    # a task of the hub has an underscore, but for one; otherwise it is an author
    text = task if "_" in task or task == "ocr" else model
    return next((kind for kind in KINDS if re.search(kind.words, text)), None)


def suggested(name: str, known: list[str]) -> list[str]:
    """Return names of `known` for `op`: of the kind of `name`, and spelled like it. Maybe none."""
    kind = kind_of(name)
    spelled = get_close_matches(name.replace("-", "_"), known, n=1, cutoff=0.8)
    similar = [folder for folder in kind.folders if folder in known] if kind else []
    return list(dict.fromkeys([*spelled, *similar]))

"""Text-image search with Towhee, CLIP and Milvus, row by row."""

import csv
import uuid

import numpy as np
import pytest
from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections, utility

from imgsearch.towhee.imports import towhee

# the codelabs' API; pyproject.toml keeps pymilvus below 3.1, which removes it
pytestmark = pytest.mark.filterwarnings("ignore:.*ORM-style PyMilvus API")
ops, pipe = towhee.ops, towhee.pipe


@pytest.fixture(scope="module")
def connection(tmp_path_factory):
    """Connect as the codelab does, but to the embedded store."""
    alias = "mission"
    connections.connect(alias, uri=str(tmp_path_factory.mktemp("milvus") / "x.db"))
    yield alias
    connections.disconnect(alias)


@pytest.fixture
def create(connection):
    """Return the codelab's function that replaces a collection."""

    def create(dim, name="text_image_search"):
        if utility.has_collection(name, using=connection):
            utility.drop_collection(name, using=connection)
        fields = [
            FieldSchema("id", DataType.INT64, is_primary=True, auto_id=False),
            FieldSchema("embedding", DataType.FLOAT_VECTOR, dim=dim),
        ]
        collection = Collection(name, CollectionSchema(fields), using=connection)
        index = {"metric_type": "L2", "index_type": "IVF_FLAT", "params": {"nlist": 512}}
        collection.create_index("embedding", index)
        return collection

    return create


def test_s1_1_collection_is_replaced(create):
    create(8)
    collection = create(512)
    assert collection.num_entities == 0
    assert collection.schema.primary_field.name == "id"
    assert collection.indexes[0].params["metric_type"] == "L2"


def test_s1_4_models_are_listed():
    clip = ops.image_text_embedding.clip(model_name="lite", modality="text").get_op()
    names = {
        "clip_vit_base_patch16", "clip_vit_base_patch32", "clip_vit_large_patch14",
        "clip_vit_large_patch14_336", "clip_vit_b32", "clip_vit_b16", "clip_resnet_r50",
        "clip_resnet_r101",
    }  # fmt: skip
    assert names <= set(clip.supported_model_names())


def test_s1_5_a_load_of_1000_rows_ends_with_1000(photos, tmp_path, create):
    files = sorted(map(str, photos.glob("train/*/*.JPEG")))
    with (tmp_path / "x.csv").open("w", encoding="utf-8-sig", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "path", "label"])
        table.writerows([n, files[n % len(files)], "größe"] for n in range(1000))
    collection = create(722)
    (
        towhee.read_csv(tmp_path / "x.csv")
        .runas_op["id", "id"](func=int)
        .set_parallel(4)
        .image_decode["path", "img"]()
        .image_embedding.timm["img", "vec"](model_name="classic")
        .tensor_normalize["vec", "vec"]()
        .to_milvus["id", "vec"](collection=collection, batch=100)
    )
    assert collection.num_entities == 1000
    query = towhee.dc["path"](files[3:4]).image_decode["path", "img"]()
    hits = (
        query.image_embedding.timm["img", "vec"](model_name="classic")
        .tensor_normalize["vec", "vec"]()
        .milvus_search["vec", "result"](collection=collection, limit=5)[0]
        .result
    )
    assert {hit.id % len(files) for hit in hits} == {3}
    assert [hit.distance for hit in hits] == pytest.approx([0] * 5, abs=1e-5)


def test_s1_6_two_texts_give_five_images_each(photos, create):
    files = dict(enumerate(sorted(map(str, photos.glob("train/*/*.JPEG")))))
    collection = create(384)
    rows = towhee.dc["id", "path"](list(files.items())).image_decode["path", "img"]()
    vectors = rows.image_text_embedding.clip["img", "vec"](model_name="lite", modality="image")
    vectors.tensor_normalize["vec", "vec"]().to_milvus["id", "vec"](
        collection=collection, batch=100
    )
    paths = (
        towhee.dc["text"](["A white dog", "A black dog"])
        .image_text_embedding.clip["text", "vec"](model_name="lite", modality="text")
        .tensor_normalize["vec", "vec"]()
        .milvus_search["vec", "result"](collection=collection, limit=5)
        .runas_op["result", "paths"](func=lambda hits: [files[hit.id] for hit in hits])
        .select["paths"]()
        .as_raw()
        .to_list()
    )
    assert [len(set(hits)) for hits in paths] == [5, 5]


def test_s1_10_own_operators_search_both_ways_and_classify(photos, tmp_path):
    """Operators of the program's own, one index for texts and images, and softmax(100 * cos)."""
    name = f"mission_{uuid.uuid4().hex}"
    encode = ops.image_text_embedding.clip(model_name="lite", modality="text").get_op()

    def unit(vector):
        return vector / np.linalg.norm(vector)

    @towhee.register(name=name)
    class TextEmbedding:
        def __call__(self, text):
            return unit(encode(text))

    image = (
        pipe.input("file")
        .map("file", "img", ops.image_decode.cv2("rgb"))
        .map("img", "vec", ops.image_text_embedding.clip(model_name="lite", modality="image"))
        .map("vec", "vec", ops.towhee.np_normalize())
    )
    index = ops.ann_insert.faiss_index(str(tmp_path), 384)
    insert = image.map(("vec", "file"), (), index).output()
    files = sorted(map(str, photos.glob("train/goldfish/*.JPEG")))
    for file in files:
        insert(file)
    insert.flush()
    search = ops.ann_search.faiss_index(str(tmp_path), 3)
    by_image = image.map("vec", "row", search).output("row")(files[1]).get()[0]
    assert (by_image[0][2], len(by_image)) == ([files[1]], 3)
    text = pipe.input("text").map("text", "vec", getattr(ops, name)())
    assert len(text.map("vec", "row", search).output("row")("a goldfish").get()[0]) == 3
    logits = 100 * np.stack([unit(encode(word)) for word in ("dog", "cat")]) @ unit(encode("a dog"))
    chances = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    assert chances.argmax() == 0
    assert chances.sum() == pytest.approx(1)

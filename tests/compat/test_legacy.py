"""Scripts for Towhee 0.x run as they are written: codelabs 10, 11 and 13, in our own words.

The calls, their order and their arguments equal the codelabs', except for the connection to
Milvus, the folder of queries and the names of models whose weights are not in packages.
"""

import importlib.util

import pytest

from tests.compat.runs import gallery, run

PREPARE = """
import sys

import cv2
import pandas as pd
from pymilvus import Collection, CollectionSchema, DataType, FieldSchema, connections, utility

import imgsearch
import towhee
from towhee._types.image import Image

connections.connect(uri='./milvus.db')
df = pd.read_csv('reverse_image_search.csv')
id_img = df.set_index('id')['path'].to_dict()
label_ids = {label: list(df[df['label'] == label].id) for label in set(df['label'])}


def read_images(results):
    imgs = []
    for hit in results:
        imgs.append(Image(cv2.imread(id_img[hit.id]), 'BGR'))
    return imgs


def ground_truth(path):
    return label_ids[path.split('/')[-2]]


def create_milvus_collection(name, dim):
    if utility.has_collection(name):
        utility.drop_collection(name)
    schema = CollectionSchema(fields=[
        FieldSchema(name='id', dtype=DataType.INT64, description='ids', is_primary=True,
                    auto_id=False),
        FieldSchema(name='embedding', dtype=DataType.FLOAT_VECTOR, description='vectors', dim=dim),
    ], description='image search')
    collection = Collection(name=name, schema=schema)
    collection.create_index(field_name='embedding', index_params={
        'metric_type': 'L2', 'index_type': 'IVF_FLAT', 'params': {'nlist': 512}})
    return collection
"""

IMAGES = """
collection = create_milvus_collection('reverse_image_search', 722)
dc = (
    towhee.read_csv('reverse_image_search.csv')
      .runas_op['id', 'id'](func=lambda x: int(x))
      .image_decode['path', 'img']()
      .image_embedding.timm['img', 'vec'](model_name='classic')
      .to_milvus['id', 'vec'](collection=collection, batch=5)
)
print('INSERTED', collection.num_entities)
(
    towhee.glob['path']('./test/g*/*.JPEG')
      .image_decode['path', 'img']()
      .image_embedding.timm['img', 'vec'](model_name='classic')
      .milvus_search['vec', 'result'](collection=collection, limit=5)
      .runas_op['result', 'result_img'](func=read_images)
      .select['img', 'result_img']()
      .show()
)
collection = create_milvus_collection('reverse_image_search_norm', 722)
dc = (
    towhee.read_csv('reverse_image_search.csv')
      .runas_op['id', 'id'](func=lambda x: int(x))
      .image_decode['path', 'img']()
      .image_embedding.timm['img', 'vec'](model_name='classic')
      .tensor_normalize['vec', 'vec']()
      .to_milvus['id', 'vec'](collection=collection, batch=100)
)
benchmark = (
    towhee.glob['path']('./test/*/*.JPEG')
        .image_decode['path', 'img']()
        .image_embedding.timm['img', 'vec'](model_name='classic')
        .tensor_normalize['vec', 'vec']()
        .milvus_search['vec', 'result'](collection=collection, limit=4)
        .runas_op['path', 'ground_truth'](func=ground_truth)
        .runas_op['result', 'result'](func=lambda res: [x.id for x in res])
        .with_metrics(['mean_hit_ratio', 'mean_average_precision'])
        .evaluate['ground_truth', 'result']('classic')
        .report()
)
print('BENCHMARK', benchmark)

from towhee.types.image_utils import from_pil
with towhee.api() as api:
    milvus_search_function = (
        api.runas_op(func=lambda img: from_pil(img))
            .image_embedding.timm(model_name='classic')
            .tensor_normalize()
            .milvus_search(collection='reverse_image_search_norm', limit=5)
            .runas_op(func=lambda res: [id_img[x.id] for x in res])
            .as_function()
    )
from PIL import Image as PILImage
print('FUNCTION', milvus_search_function(PILImage.open('train/goldfish/3.JPEG'))[0])
"""


@pytest.fixture(autouse=True)
def cv2():
    if importlib.util.find_spec("cv2") is None:
        pytest.skip("the codelabs import OpenCV: pip install opencv-python-headless")


def test_codelab_10_loads_searches_and_measures(tmp_path):
    gallery(tmp_path)
    printed = run(PREPARE + IMAGES, tmp_path)
    assert "INSERTED 12\n" in printed
    assert "Image shape=(54, 64, 3) mode=BGR" in printed
    assert "mean_hit_ratio" in printed
    # both queries are images of the gallery scaled down, so each is its own first hit
    scores = eval(printed.partition("BENCHMARK ")[2].splitlines()[0])  # noqa: S307
    assert scores["classic"]["mean_hit_ratio"] >= 0.25
    assert 0.25 <= scores["classic"]["mean_average_precision"] <= 1
    assert "FUNCTION ./train/goldfish/3.JPEG\n" in printed


TEXTS = """
collection = create_milvus_collection('text_image_search', 384)
towhee.glob['path']('./test/goldfish/1.JPEG') \\
      .image_decode['path', 'img']() \\
      .image_text_embedding.clip['img', 'vec'](model_name='lite', modality='image') \\
      .tensor_normalize['vec','vec']() \\
      .select['img', 'vec']() \\
      .show()
towhee.dc['text'](["A teddybear on a skateboard in Times Square."]) \\
      .image_text_embedding.clip['text','vec'](model_name='lite', modality='text') \\
      .tensor_normalize['vec','vec']() \\
      .select['text', 'vec']() \\
      .show()
dc = (
    towhee.read_csv('reverse_image_search.csv')
      .runas_op['id', 'id'](func=lambda x: int(x))
      .set_parallel(4)
      .image_decode['path', 'img']()
      .image_text_embedding.clip['img', 'vec'](model_name='lite', modality='image')
      .tensor_normalize['vec','vec']()
      .to_milvus['id', 'vec'](collection=collection, batch=100)
)
print('INSERTED', collection.num_entities)
(
    towhee.dc['text'](["A white dog","A black dog"])
      .image_text_embedding.clip['text', 'vec'](model_name='lite', modality='text')
      .tensor_normalize['vec','vec']()
      .milvus_search['vec', 'result'](collection=collection, limit=5)
      .runas_op['result', 'result_img'](func=read_images)
      .select['text', 'result_img']()
      .show()
)
with towhee.api() as api:
    milvus_search_function = (
        api.image_text_embedding.clip(model_name='lite', modality='text')
            .tensor_normalize()
            .milvus_search(collection='text_image_search', limit=5)
            .runas_op(func=lambda res: [id_img[x.id] for x in res])
            .as_function()
    )
print('FUNCTION', len(milvus_search_function('a black dog')))
"""


def test_codelab_13_searches_by_text(tmp_path):
    gallery(tmp_path)
    printed = run(PREPARE + TEXTS, tmp_path)
    assert "INSERTED 12\n" in printed
    assert "A teddybear on a skateboard in Times Square." in printed
    assert printed.count("shape=(384,)") == 2
    assert "A white dog" in printed
    assert "FUNCTION 5\n" in printed


DEEP_DIVE = """
import time

import numpy as np
from fastapi import FastAPI
from fastapi.testclient import TestClient

projection_matrix = np.random.default_rng(7).normal(scale=1.0, size=(722, 128))


def dim_reduce(vec):
    return np.dot(vec, projection_matrix)


def get_object(img, boxes):
    max_area, max_img = 0, img
    for x1, y1, x2, y2 in boxes:
        if (x2 - x1) * (y2 - y1) > max_area:
            max_area, max_img = (x2 - x1) * (y2 - y1), img[y1:y2, x1:x2, :]
    return max_img


collection = create_milvus_collection('reduced', 128)
(
    towhee.read_csv('reverse_image_search.csv')
        .runas_op['id', 'id'](func=lambda x: int(x))
        .image_decode['path', 'img']()
        .object_detection.yolov5['img', ('boxes', 'class', 'score')]()
        .runas_op[('img', 'boxes'), 'object'](func=get_object)
        .image_embedding.timm['object', 'vec'](model_name='classic')
        .runas_op['vec', 'vec'](func=dim_reduce)
        .tensor_normalize['vec', 'vec']()
        .to_milvus['id', 'vec'](collection=collection, batch=100)
)
print('INSERTED', collection.num_entities)

open('test/goldfish/0.JPEG', 'w').write('no image')
errors = []
(
    towhee.glob['path']('./test/goldfish/*.JPEG')
        .exception_safe()
        .image_decode['path', 'img']()
        .image_embedding.timm['img', 'vec'](model_name='classic')
        .runas_op['vec', 'vec'](func=dim_reduce)
        .tensor_normalize['vec', 'vec']()
        .milvus_search['vec', 'result'](collection=collection, limit=5)
        .runas_op['result', 'result_img'](func=read_images)
        .drop_empty(lambda empty: errors.append(empty.get()))
        .select['img', 'result_img']()
        .show()
)
print('ERRORS', [(type(error.exception).__name__, error.value.path) for error in errors])

app = FastAPI()


@towhee.register(name='get_path_id')
def get_path_id(path):
    timestamp = int(time.time() * 10000)
    id_img[timestamp] = path
    return timestamp


@towhee.register(name='milvus_insert')
class MilvusInsert:
    def __init__(self, collection):
        self.collection = collection

    def __call__(self, *args, **kwargs):
        mr = self.collection.insert([[value] for value in args])
        self.collection.load()
        return str(mr)


with towhee.api['file']() as api:
    app_insert = (
        api.image_load['file', 'img']()
        .save_image['img', 'path'](dir='tmp/images')
        .get_path_id['path', 'id']()
        .image_embedding.timm['img', 'vec'](model_name='classic')
        .runas_op['vec', 'vec'](func=dim_reduce)
        .tensor_normalize['vec', 'vec']()
        .milvus_insert[('id', 'vec'), 'res'](collection=collection)
        .select['id', 'path']()
        .serve('/insert', app)
    )
with towhee.api['file']() as api:
    app_search = (
        api.image_load['file', 'img']()
        .image_embedding.timm['img', 'vec'](model_name='classic')
        .runas_op['vec', 'vec'](func=dim_reduce)
        .tensor_normalize['vec', 'vec']()
        .milvus_search['vec', 'result'](collection=collection)
        .runas_op['result', 'res_file'](func=lambda res: str([id_img[x.id] for x in res]))
        .select['res_file']()
        .serve('/search', app)
    )
with towhee.api() as api:
    app_count = api.map(lambda _: collection.num_entities).serve('/count', app)

client = TestClient(app)
image, header = open('train/goldfish/2.JPEG', 'rb').read(), {'Content-Type': 'image/jpeg'}
inserted = client.post('/insert', content=image, headers=header).json()
print('PATH', inserted['path'].startswith('tmp/images'), id_img[inserted['id']] == inserted['path'])
hits = client.post('/search', content=image, headers=header).json()['res_file']
print('SEARCH', inserted['path'] in hits)
collection.flush()
print('COUNT', client.post('/count').json())
"""


def test_codelab_11_detects_reduces_survives_errors_and_serves(tmp_path, monkeypatch):
    if any(importlib.util.find_spec(name) is None for name in ("transformers", "torch", "timm")):
        pytest.skip("detectors need the extras torch and regions")
    from tests.detectors import write_detector

    gallery(tmp_path)
    write_detector(tmp_path / "detector")
    monkeypatch.setenv("IMGSEARCH_DETECTOR", str(tmp_path / "detector"))
    printed = run(PREPARE + DEEP_DIVE, tmp_path)
    assert "INSERTED 12\n" in printed
    assert "ERRORS [('FormatRefused', './test/goldfish/0.JPEG')]\n" in printed
    assert "PATH True True\n" in printed
    assert "SEARCH True\n" in printed
    assert "COUNT 13\n" in printed

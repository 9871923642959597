"""The tutorial of Towhee and Tencent VectorDB, as written: load, embed, look, insert, search."""

import numpy as np
import pytest

from imgsearch.errors import BackendError, CollectionNotFound, ConfigError, FieldInvalid
from imgsearch.towhee.imports import towhee
from tests.compat.runs import gallery, run
from tests.compat.tencent import KEY

ops, pipe = towhee.ops, towhee.pipe

SCRIPT = """
import csv
import sys
from glob import glob
from pathlib import Path

import imgsearch
import tcvectordb
from tcvectordb.model.enum import FieldType, IndexType, MetricType, ReadConsistency
from tcvectordb.model.index import FilterIndex, HNSWParams, Index, VectorIndex
from towhee import DataCollection, ops, pipe

HOST, PORT, PASSWORD = sys.argv[1:]
USERNAME = 'root'
DB_NAME = 'image-search'
COLLECTION_NAME = 'reverse_image_search'
MODEL = 'classic'
DEVICE = None
INSERT_SRC = 'reverse_image_search.csv'


def load_image(src):
    if src.endswith('csv'):
        with open(src, encoding='utf-8-sig') as file:
            rows = csv.reader(file)
            next(rows)
            for row in rows:
                yield row[1]
    else:
        yield from glob(src)


client = tcvectordb.VectorDBClient(
    url='http://' + HOST + ':' + PORT, username=USERNAME, key=PASSWORD,
    read_consistency=ReadConsistency.EVENTUAL_CONSISTENCY, timeout=20)
db = client.create_database(DB_NAME)
index = Index()
index.add(VectorIndex('vector', 722, IndexType.HNSW, MetricType.COSINE,
                      HNSWParams(m=16, efconstruction=200)))
index.add(FilterIndex('id', FieldType.String, IndexType.PRIMARY_KEY))
index.add(FilterIndex('path', FieldType.String, IndexType.FILTER))
db.create_collection(name=COLLECTION_NAME, shard=3, replicas=0,
                     description='image embedding collection',
                     index=index, embedding=None, timeout=20)

p_embed = (
    pipe.input('src')
        .flat_map('src', 'img_path', load_image)
        .map('img_path', 'img', ops.image_decode())
        .map('img', 'vec', ops.image_embedding.timm(model_name=MODEL, device=DEVICE))
)

p_display = p_embed.output('img_path', 'img', 'vec')
DataCollection(p_display('./test/goldfish/*.JPEG')).show()

p_insert = (
    p_embed.map(('img_path', 'vec'), 'mr', ops.local.tcvdb_client(
        host=HOST, port=PORT, key=PASSWORD, username=USERNAME,
        collectionName=COLLECTION_NAME, dbName=DB_NAME
    ))
        .output('mr')
)
p_insert(INSERT_SRC)
p_insert(INSERT_SRC)

p_search_pre = (
    p_embed.map('vec', ('search_res'), ops.local.search_tcvdb_client(
        host=HOST, port=PORT, key=PASSWORD, username=USERNAME,
        collectionName=COLLECTION_NAME, dbName=DB_NAME))
        .map('search_res', 'pred', lambda x: [str(Path(y[0]).resolve()) for y in x])
)
p_search = p_search_pre.output('img_path', 'pred')

dc = p_search('test/goldfish/*.JPEG')
DataCollection(dc).show()
p_look = p_search_pre.output('img_path', 'search_res', 'pred')
for row in p_look.batch(sorted(glob('test/goldfish/*.JPEG'))):
    path, found, pred = row.get()
    print('FOUND', path, len(pred), pred[0], *found[0])
documents = client.database(DB_NAME).collection(COLLECTION_NAME).query(limit=100)
print('STORED', len(documents), len({each['path'] for each in documents}), sorted(documents[0]))
"""


def vectors(number=5, dim=8):
    return list(np.random.default_rng(7).standard_normal((number, dim), np.float32))


def test_tutorial_runs_as_it_is_written(tmp_path, emulator):
    gallery(tmp_path)
    host, port = emulator.url.removeprefix("http://").split(":")
    printed = run(SCRIPT, tmp_path, host, port, KEY)
    assert "shape=(722,)" in printed
    assert "Image shape=(54, 64, 3) mode=BGR" in printed
    assert KEY not in printed
    hits = [line.split() for line in printed.splitlines() if line.startswith("FOUND")]
    assert [(line[1], line[2]) for line in hits] == [
        (f"test/goldfish/{place}.JPEG", "10") for place in (1, 2)
    ]
    for place, (_, _, _, best, path, score) in zip((1, 2), hits, strict=True):
        assert path == f"./train/goldfish/{place}.JPEG"
        assert best == str((tmp_path / path).resolve())
        assert 0.9 < float(score) <= 1
    stored = printed.rpartition("STORED ")[2].strip()
    assert stored == "12 12 ['id', 'path']"


def test_create_insert_search_and_drop_by_name(place, emulator):
    insert, search = (
        ops.local.tcvdb_client(**place),
        ops.local.search_tcvdb_client(**place, limit=2),
    )
    insert.get_op().create_db_and_collection(8)
    insert.get_op().create_db_and_collection(8)
    result = insert('./train/猫 "1".JPEG', vectors()[0])
    assert result == insert('./train/猫 "1".JPEG', vectors()[0])
    assert (result.insert_count, len(result.primary_keys[0])) == (1, 64)
    assert insert([f"{n}.jpg" for n in range(5)], vectors()).insert_count == 5
    (best, score), _ = search(vectors()[3])
    assert (best, score) == ("3.jpg", pytest.approx(1, abs=1e-5))
    assert [rows[0][0] for rows in search(vectors()[1:3])] == ["1.jpg", "2.jpg"]
    with pytest.raises(ConfigError, match="nothing dropped"):
        insert.get_op().clear(database="another")
    with pytest.raises(ConfigError, match="nothing dropped"):
        insert.get_op().delete_and_drop(database="another", collection="reverse_image_search")
    with pytest.raises(ConfigError) as missing:
        insert.get_op().clear()
    assert str(missing.value).endswith(f"Call clear(database={place['dbName']!r}).")
    for names in ({}, {"database": place["dbName"]}, {"collection": "reverse_image_search"}):
        with pytest.raises(ConfigError) as missing:
            insert.get_op().delete_and_drop(**names)
        call = f"delete_and_drop(database={place['dbName']!r}, collection='reverse_image_search')."
        assert str(missing.value).endswith(f"Call {call}")
    with pytest.raises(FieldInvalid, match="2 paths"):
        insert(["a", "b"], vectors()[:1])
    assert len(search(vectors()[0])) == 2
    insert.get_op().delete_and_drop(database=place["dbName"], collection="reverse_image_search")
    with pytest.raises(CollectionNotFound):
        insert("x.jpg", vectors()[0])


def test_list_is_one_request(place, emulator):
    insert = ops.local.tcvdb_client(**place)
    insert.get_op().create_db_and_collection(8)
    before = emulator.calls["/document/upsert"]
    insert([f"{n}.jpg" for n in range(300)], vectors(300))
    assert emulator.calls["/document/upsert"] - before == 1


def test_random_ids_store_a_path_at_every_insert(place):
    insert = ops.local.tcvdb_client(**place, random_ids=True)
    insert.get_op().create_db_and_collection(8)
    assert insert("a.jpg", vectors()[0]) != insert("a.jpg", vectors()[0])
    hits = ops.local.search_tcvdb_client(**place)(vectors()[0])
    assert [path for path, _ in hits] == ["a.jpg", "a.jpg"]


def test_clear_drops_the_whole_database(place):
    insert = ops.local.tcvdb_client(**place)
    insert.get_op().create_db_and_collection(8)
    insert.get_op().clear(database=place["dbName"])
    with pytest.raises(CollectionNotFound):
        ops.local.search_tcvdb_client(**place)(vectors()[0])


def test_wrong_key_raises_without_showing_it(place, caplog):
    place["key"] = "falsch-und-geheim"
    with pytest.raises(BackendError, match="refuses") as caught:
        ops.local.tcvdb_client(**place)("a.jpg", vectors()[0])
    assert "geheim" not in str(caught.getrepr(style="native")) + caplog.text
    search = pipe.input("v").map("v", "r", ops.local.search_tcvdb_client(**place)).output("r")
    with pytest.raises(RuntimeError, match="refuses") as caught:
        search(vectors()[0])
    assert "geheim" not in str(caught.value) + caplog.text
    wrong = pipe.input("v").map("v", "r", ops.local.search_tcvdb_client(**place, top=3)).output("r")
    with pytest.raises(RuntimeError, match="'top'") as caught:
        wrong(vectors()[0])
    assert "geheim" not in str(caught.value) + caplog.text


def test_registered_pipelines_write_and_search(place):
    from towhee import AutoConfig, AutoPipes

    ops.local.tcvdb_client(**place).get_op().create_db_and_collection(8)
    config = AutoConfig.load_config("insert_tcvdb")
    assert (config.port, config.user) == ("19530", "root")
    config.host, config.port, config.password = place["host"], place["port"], KEY
    config.collection_name, config.db_name = place["collectionName"], place["dbName"]
    assert KEY not in repr(config)
    insert = AutoPipes.pipeline("insert_tcvdb", config=config)
    results = insert.batch((f"{n}.jpg", vector) for n, vector in enumerate(vectors()))
    assert [queue.get()[0].insert_count for queue in results] == [1] * 5
    other = AutoConfig.load_config("search_tcvdb", **vars(config), search_params={"limit": 2})
    (best, _) = AutoPipes.pipeline("search_tcvdb", config=other)(vectors()[3]).get()[0]
    assert best == ["3.jpg", pytest.approx(1, abs=1e-5)]
    with pytest.raises(ConfigError, match="collection_name or password is missing"):
        AutoPipes.pipeline("insert_tcvdb")

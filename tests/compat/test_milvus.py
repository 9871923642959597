"""The tutorial of Towhee and Milvus, written for 1.1.3, and its two operators."""

import uuid
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import numpy as np
import pytest
from pymilvus import DataType, MilvusClient

from imgsearch.backends.milvus.address import Address
from imgsearch.errors import (
    BackendUnavailable,
    CollectionNotFound,
    ConfigError,
    DimensionMismatch,
    FieldInvalid,
    VectorInvalid,
)
from imgsearch.towhee.imports import towhee
from tests.compat.runs import gallery, run

ops, pipe = towhee.ops, towhee.pipe

SCRIPT = """
import csv

import imgsearch
from pymilvus import DataType, MilvusClient
from towhee import DataCollection, ops, pipe

URI, COLLECTION = './milvus.db', 'text_image_search'


def create_milvus_collection(collection_name, dim):
    client = MilvusClient(URI)
    if client.has_collection(collection_name):
        client.drop_collection(collection_name)
    schema = client.create_schema(auto_id=False, description='text image search')
    schema.add_field('id', DataType.INT64, is_primary=True)
    schema.add_field('embedding', DataType.FLOAT_VECTOR, dim=dim)
    index = client.prepare_index_params()
    index.add_index('embedding', index_type='IVF_FLAT', metric_type='L2', params={'nlist': 512})
    client.create_collection(collection_name, schema=schema, index_params=index)
    return client


def read_csv(csv_path, encoding='utf-8-sig'):
    with open(csv_path, 'r', encoding=encoding) as f:
        for line in csv.DictReader(f):
            yield int(line['id']), line['path']


client = create_milvus_collection(COLLECTION, 722)

p_insert = (
    pipe.input('csv_file')
    .flat_map('csv_file', ('id', 'path'), read_csv)
    .map('path', 'img', ops.image_decode.cv2('rgb'))
    .map('img', 'vec', ops.image_embedding.timm(model_name='classic'))
    .map('vec', 'vec', ops.towhee.np_normalize())
    .map(('id', 'vec'), 'r', ops.ann_insert.milvus_client(uri=URI, collection_name=COLLECTION))
    .output('r')
)
ret = p_insert('reverse_image_search.csv')
print('INSERTED', ret.size, ret.get()[0].insert_count)
p_insert('reverse_image_search.csv')
client.flush(COLLECTION)
print('ROWS', client.query(COLLECTION, filter='', output_fields=['count(*)'])[0]['count(*)'])

id_img = dict(read_csv('reverse_image_search.csv'))
p_search = (
    pipe.input('query')
    .map('query', 'img', ops.image_decode())
    .map('img', 'vec', ops.image_embedding.timm(model_name='classic'))
    .map('vec', 'vec', ops.towhee.np_normalize())
    .map('vec', 'rows', ops.ann_search.milvus_client(uri=URI, collection_name=COLLECTION, limit=5))
    .map('rows', 'images', lambda rows: [id_img[row[0]] for row in rows])
    .output('query', 'rows', 'images')
)
DataCollection(p_search('test/goldfish/1.JPEG')).show()
for queue in p_search.batch(['test/goldfish/1.JPEG', 'test/goldfish/2.JPEG']):
    query, rows, images = queue.get()
    ordered = rows == sorted(rows, key=lambda row: row[1])
    print('FOUND', query, len(rows), images[0], rows[0][1], ordered)
"""


def test_tutorial_runs_as_it_is_written(tmp_path):
    gallery(tmp_path)
    printed = run(SCRIPT, tmp_path)
    assert "INSERTED 12 1\n" in printed
    assert "ROWS 12\n" in printed
    hits = [line.split() for line in printed.splitlines() if line.startswith("FOUND")]
    assert [line[1:4] for line in hits] == [
        [f"test/goldfish/{place}.JPEG", "5", f"./train/goldfish/{place}.JPEG"] for place in (1, 2)
    ]
    for line in hits:
        assert 0 <= float(line[4]) < 0.2  # squared L2 of unit vectors: 2 - 2 cos, cos > 0.9
        assert line[5] == "True"


@pytest.fixture(scope="module")
def uri(tmp_path_factory):
    return str(tmp_path_factory.mktemp("rows") / "x.db")


@pytest.fixture(scope="module")
def client(uri):
    client = MilvusClient(uri)
    yield client
    client.close()


@pytest.fixture
def make(client):
    """Return a function that creates a collection of (id, embedding, path) and returns its name."""
    names = []

    def create(*, dim=8, metric="L2", auto=False, kind="FLAT", name=None):
        name = name or f"c{uuid.uuid4().hex}"
        schema = client.create_schema(auto_id=auto)
        schema.add_field("id", DataType.INT64, is_primary=True)
        schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=dim)
        schema.add_field("path", DataType.VARCHAR, max_length=500)
        index = client.prepare_index_params()
        index.add_index("embedding", index_type=kind, metric_type=metric)
        client.create_collection(name, schema=schema, index_params=index)
        names.append(name)
        return name

    yield create
    for name in set(names):
        client.drop_collection(name)


def vectors(number=5, dim=8):
    return list(np.random.default_rng(11).standard_normal((number, dim), np.float32))


def operators(uri, name, **search):
    return (
        ops.ann_insert.milvus_client(uri=uri, collection_name=name),
        ops.ann_search.milvus_client(uri=uri, collection_name=name, **search),
    )


def count(client, name):
    return client.query(name, filter="", output_fields=["count(*)"])[0]["count(*)"]


@pytest.mark.parametrize(
    "columns",
    [
        (7, vectors()[0], "猫.jpg"),
        (np.int64(7), vectors()[0].tolist(), np.str_("猫.jpg")),
        ([7, vectors()[0], "猫.jpg"],),
        (7, [vectors()[0], "猫.jpg"]),
        ([7], [vectors()[0]], ["猫.jpg"]),
        ([7], [vectors()[0].tolist()], ["猫.jpg"]),
        ([[7, vectors()[0], "猫.jpg"]],),
        ([7, 7], np.stack(vectors()[:1] * 2), ["old.jpg", "猫.jpg"]),
    ],
)
def test_row_is_accepted_in_every_form_and_written_once(columns, uri, client, make):
    name = make()
    insert, search = operators(uri, name, output_fields=["path"])
    for _ in range(2):
        result = insert(*columns)
        assert (result.insert_count, result.primary_keys) == (1, [7])
    assert count(client, name) == 1
    assert search(vectors()[0]) == [[7, pytest.approx(0, abs=1e-6), "猫.jpg"]]


def test_lists_are_written_and_searched_in_one_call(uri, client, make):
    name = make()
    insert, search = operators(uri, name, limit=2)
    assert insert(list(range(300)), vectors(300), ["x"] * 300).insert_count == 300
    assert count(client, name) == 300
    hits = search(vectors(300)[:3])
    assert [(rows[0][0], len(rows)) for rows in hits] == [(0, 2), (1, 2), (2, 2)]


def test_generated_key_is_not_an_argument(uri, client, make):
    name = make(auto=True)
    insert, search = operators(uri, name)
    keys = [insert(vectors()[0], "a.jpg").primary_keys[0] for _ in range(2)]
    assert len(set(keys)) == 2
    assert {row[0] for row in search(vectors()[0])} == set(keys)


@pytest.mark.parametrize(("metric", "expected"), [("COSINE", 1.0), ("L2", 0.0)])
def test_metric_is_read_from_the_index_and_distance_from_milvus(metric, expected, uri, make):
    insert, search = operators(uri, make(metric=metric))
    insert([1, 2], vectors()[:2], ["a", "b"])
    first, second = search(vectors()[0])
    assert (first[0], first[1]) == (1, pytest.approx(expected, abs=1e-5))
    assert (first[1] > second[1]) == (metric == "COSINE")


@pytest.mark.parametrize(
    "param", [{"params": {"ef": 64}}, {"ef": 64}, {"metric_type": "L2", "params": {"ef": 64}}, None]
)
def test_search_parameters_are_accepted_in_their_usual_forms(param, uri, make):
    insert, search = operators(uri, make(kind="HNSW"), param=param, limit=20)
    insert(list(range(50)), vectors(50), ["x"] * 50)
    assert len(search(vectors(50)[9])) == 20


def test_expression_filters_the_search(uri, make):
    insert, search = operators(uri, make(), expr='path == "b"', output_fields=["path"])
    insert([1, 2], vectors()[:2], ["a", "b"])
    assert [row[2] for row in search(vectors()[0])] == ["b"]


def test_recreated_collection_is_used(uri, client, make):
    name = make()
    insert, search = operators(uri, name)
    insert(1, vectors()[0], "a")
    assert len(search(vectors()[0])) == 1
    client.drop_collection(name)
    make(name=name, dim=4)
    insert(2, vectors(dim=4)[0], "b")
    assert [row[0] for row in search(vectors(dim=4)[0])] == [2]
    client.release_collection(name)
    assert [row[0] for row in search(vectors(dim=4)[0])] == [2]


def test_invalid_rows_raise_and_write_nothing(uri, client, make):
    name = make()
    insert, search = operators(uri, name)
    with pytest.raises(FieldInvalid, match=r"3 values a row \(id, embedding, path\), got 2"):
        insert(1, vectors()[0])
    with pytest.raises(FieldInvalid, match="one length"):
        insert([1, 2], vectors()[:2], ["a"])
    with pytest.raises(DimensionMismatch):
        insert([1, 2], [vectors()[0], vectors(dim=4)[0]], ["a", "b"])
    with pytest.raises(VectorInvalid):
        insert(1, np.full(8, np.nan, np.float32), "a")
    with pytest.raises(DimensionMismatch):
        search(vectors(dim=4)[0])
    with pytest.raises(VectorInvalid, match="numbers"):
        insert(1, "keine Zahlen", "a")
    with pytest.raises(VectorInvalid, match="one length"):
        search([vectors()[0], vectors(dim=4)[0]])
    assert count(client, name) == 0


def test_invalid_arguments_raise(uri, make):
    name = make()
    for error, search in [
        (CollectionNotFound, ops.ann_search.milvus_client(uri=uri, collection_name="nirgends")),
        (ConfigError, ops.ann_search.milvus_client(uri=uri)),
        (ConfigError, ops.ann_search.milvus_client(uri=uri, collection_name=name, limit=0)),
        (
            ConfigError,
            ops.ann_search.milvus_client(uri=uri, collection_name=name, metric_type="IP"),
        ),
        (ConfigError, ops.ann_search.milvus_client(uri="ftp://x", collection_name=name)),
        (FieldInvalid, ops.ann_search.milvus_client(uri=uri, collection_name=name, anns_field="v")),
        (TypeError, ops.ann_search.milvus_client(uri=uri, collection_name=name, topk=3)),
    ]:
        with pytest.raises(error):
            search(vectors()[0])


@pytest.mark.parametrize("secret", [{"user": "root", "password": "geheim"}, {"token": "geheim"}])
@pytest.mark.parametrize("mistake", [{}, {"topk": 3}])
def test_errors_and_logs_contain_no_secret(secret, mistake, caplog):
    where = {"host": "127.0.0.1", "port": "1", "collection_name": "c", "timeout": 0.5}
    search = ops.ann_search.milvus_client(**where, **secret, **mistake)
    with pytest.raises(TypeError if mistake else BackendUnavailable) as caught:
        search(vectors()[0])
    assert "geheim" not in str(caught.getrepr(style="native"))
    with pytest.raises(RuntimeError) as caught:
        pipe.input("v").map(
            "v", "r", ops.ann_search.milvus_client(**where, **secret, **mistake)
        ).output("r")(vectors()[0])
    assert "geheim" not in str(caught.value) + caplog.text + repr(Address(**secret))


@pytest.mark.parametrize(
    ("given", "url", "credentials"),
    [
        ({}, "milvus://127.0.0.1:19530/", None),
        ({"host": "db", "port": "19531"}, "milvus://db:19531/", None),
        ({"uri": "./x.db"}, "./x.db", None),
        ({"uri": "http://db:19530", "token": "a:b"}, "milvus://db:19530", "a:b"),
        ({"uri": "https://db.example/", "db_name": "d"}, "milvus+https://db.example/d", None),
        ({"host": "db", "user": "u", "password": "p"}, "milvus+https://db:19530/", "u:p"),
        (
            {"host": "db", "user": "u", "password": "p", "secure": False},
            "milvus://db:19530/",
            "u:p",
        ),
    ],
)
def test_addresses_are_parsed(given, url, credentials):
    address = Address(**given)
    assert (address.url, address.credentials) == (url, credentials)


@pytest.fixture
def server(servers, place_of):
    """Return the operator's arguments for the real server, and a client."""
    url, token = place_of("milvus")
    parts = urlsplit(url)
    where = {"host": parts.hostname, "port": str(parts.port), "db_name": parts.path.strip("/")}
    if token:
        user, _, password = token.partition(":")
        where |= {"user": user, "password": password, "secure": False}
    client = MilvusClient(
        f"http://{parts.netloc}", token=token or "", db_name=where["db_name"], dedicated=True
    )
    yield where, client
    client.drop_collection("compat")
    client.close()


def create(client):
    """Create the collection of the fixture `server`, with an id and a vector."""
    schema = client.create_schema(auto_id=False)
    schema.add_field("id", DataType.INT64, is_primary=True)
    schema.add_field("embedding", DataType.FLOAT_VECTOR, dim=8)
    index = client.prepare_index_params()
    index.add_index("embedding", index_type="IVF_FLAT", metric_type="L2", params={"nlist": 512})
    client.create_collection("compat", schema=schema, index_params=index)


def num_entities(client):
    """Return the number that `num_entities` of pymilvus' Collection returns."""
    return client.get_collection_stats("compat")["row_count"]


def test_server_counts_the_rows_of_a_run(server):
    where, client = server
    create(client)
    milvus = ops.ann_insert.milvus_client(**where, collection_name="compat")
    many = pipe.input("n").flat_map(
        "n", ("id", "v"), lambda n: zip(range(n), vectors(n), strict=True)
    )
    many.map(("id", "v"), "r", milvus).output("r")(20)
    assert num_entities(client) == 20
    one = pipe.input("id", "v").map(("id", "v"), "r", milvus).output("r")
    one.batch([(n, vector) for n, vector in zip(range(20, 25), vectors(), strict=True)])
    assert num_entities(client) == 25
    one(25, vectors()[0])
    assert num_entities(client) == 25  # a later run of one row does not wait for its flush
    one.flush()
    assert num_entities(client) == 26


def test_server_also_keeps_one_row_for_one_key(server):
    where, client = server
    create(client)
    # the operator itself, whose calls do not end with a flush
    insert = ops.ann_insert.milvus_client(**where, collection_name="compat").get_op()
    search = ops.ann_search.milvus_client(**where, collection_name="compat", limit=2)
    for _ in range(2):
        result = insert(list(range(300)), vectors(300))
        assert result.insert_count == 300
        assert insert(7, vectors(300)[7]).primary_keys == [7]
    (first, distance), _ = search(vectors(300)[7])
    assert (first, distance) == (7, pytest.approx(0, abs=1e-6))
    counts = client.query(
        "compat", filter="", output_fields=["count(*)"], consistency_level="Strong"
    )
    assert counts[0]["count(*)"] == 300
    if "password" in where:
        wrong = {**where, "password": "Gehe1mnis"}
        with pytest.raises(BackendUnavailable) as caught:
            ops.ann_search.milvus_client(**wrong, collection_name="compat")(vectors()[0])
        assert "Gehe1mnis" not in str(caught.getrepr(style="native"))


def test_threads_share_an_operator(uri, client, make):
    name = make()
    insert = (
        pipe.input("id", "vector")
        .map(("id", "vector"), "r", lambda id_, vector: [id_, vector, "x"])
        .map("r", "told", ops.ann_insert.milvus_client(uri=uri, collection_name=name))
        .output("told")
    )
    with ThreadPoolExecutor(4) as threads:
        queues = list(threads.map(insert, range(40), vectors(40)))
    assert [queue.get()[0].primary_keys for queue in queues] == [[n] for n in range(40)]
    assert count(client, name) == 40

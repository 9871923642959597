"""Image search with Towhee and Tencent VectorDB, row by row."""

import csv
import re
import tomllib
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import httpx
import numpy as np
import pytest
from packaging.requirements import Requirement

import imgsearch
from imgsearch import Field
from imgsearch.towhee.imports import towhee
from tests.compat.tencent import KEY

ops, pipe = towhee.ops, towhee.pipe


def test_s0_1_folders_and_the_csv_give_the_same_labels(photos, library, monkeypatch):
    monkeypatch.chdir(photos)
    with imgsearch.open("memory://mission-csv", model="classic") as other:
        other.add("reverse_image_search.csv")
        labels = [
            {
                (Path(record.fields["path"]).name, record.fields["label"])
                for record in opened.records()
            }
            for opened in (library, other)
        ]
    assert labels[0] == labels[1]
    assert len(labels[0]) == 12


def test_s0_2_one_source_gives_many_rows(photos, monkeypatch):
    monkeypatch.chdir(photos)
    load = imgsearch.op("image_load")
    paths = pipe.input("src").flat_map("src", "img_path", load).output("img_path")
    for source in ("reverse_image_search.csv", "train/*/*.JPEG", "train"):
        assert paths(source).size == 12


@pytest.fixture
def embed():
    """Return the tutorial's open embed pipeline."""
    return (
        pipe.input("src")
        .flat_map("src", "img_path", imgsearch.op("image_load"))
        .map("img_path", "img", ops.image_decode())
        .map("img", "vec", ops.image_embedding.timm(model_name="classic", device=None))
    )


def test_s0_3_vectors_are_not_normalized_and_pixels_are_bgr(photos, embed):
    image, vector = embed.output("img", "vec")(str(photos / "test/goldfish/1.JPEG")).get()
    assert (image.mode, vector.dtype, vector.shape) == ("BGR", np.float32, (722,))
    assert np.linalg.norm(vector) != pytest.approx(1, abs=1e-3)


def test_s0_4_rows_are_shown_as_a_table(photos, embed, capsys):
    rows = embed.output("img_path", "img", "vec")(str(photos / "train/*/*.JPEG"))
    towhee.DataCollection(rows).show()
    printed = capsys.readouterr().out
    assert re.search(r"\[0\.\d+, 0\.\d+, 0\.\d+, \.\.\.\] shape=\(722,\)", printed)
    assert printed.count("mode=BGR") == 5  # of 12: the table is cut off


def test_s0_5_6_inserted_images_are_found_with_their_scores(photos, embed, place):
    insert = ops.local.tcvdb_client(**place)
    insert.get_op().create_db_and_collection(722)
    embed.map(("img_path", "vec"), "mr", insert).output("mr")(str(photos / "train"))
    search = (
        embed.map("vec", "search_res", ops.local.search_tcvdb_client(**place))
        .map("search_res", "pred", lambda rows: [str(Path(row[0]).resolve()) for row in rows])
        .output("img_path", "search_res", "pred")
    )
    _, rows, paths = search(str(photos / "test/goldfish/2.JPEG")).get()
    assert (len(rows), len(rows[0])) == (10, 2)
    assert [row[1] for row in rows] == sorted((row[1] for row in rows), reverse=True)
    assert paths[0] == str((photos / "train/goldfish/2.JPEG").resolve())


def test_s0_7_client_takes_the_tutorials_arguments(place):
    client = ops.local.tcvdb_client(
        place["host"], place["port"], place["username"], place["key"], place["dbName"],
        place["collectionName"], 20,
    ).get_op()  # fmt: skip
    client.create_db_and_collection(8)
    assert client("a.jpg", np.ones(8, np.float32)).insert_count == 1
    assert KEY not in repr(client._database)


@pytest.fixture
def described(place, emulator):
    """Return the description of the collection that the tutorial's method creates."""
    for _ in range(2):  # creating it again changes nothing
        ops.local.tcvdb_client(**place).get_op().create_db_and_collection()
    names = {"database": place["dbName"], "collection": place["collectionName"]}
    return post(emulator, "/collection/describe", names)["collection"]


def post(emulator, path, body):
    headers = {"Authorization": f"Bearer account=root&api_key={KEY}", "backend-service": "vdb"}
    answer = httpx.post(emulator.url + path, json=body, headers=headers, timeout=20)
    assert answer.status_code == 200
    return answer.json()


def test_s0_8_database_and_collection_are_created(described):
    assert (described["shardNum"], described["replicaNum"]) == (3, 0)
    assert described["documentCount"] == 0


def test_s0_9_index_is_the_tutorials(described):
    indexes = {index["fieldName"]: index for index in described["indexes"]}
    assert (indexes["vector"]["dimension"], indexes["vector"]["metricType"]) == (2048, "COSINE")
    assert indexes["vector"]["params"] == {"M": 16, "efConstruction": 200}
    assert (indexes["id"]["indexType"], indexes["path"]["indexType"]) == ("primaryKey", "filter")


@pytest.fixture
def documents(place):
    """Return the SDK's collection with 30 documents of 8 numbers, and another with the field n."""
    import tcvectordb

    ops.local.tcvdb_client(**place).get_op().create_db_and_collection(8)
    client = tcvectordb.VectorDBClient(
        url=f"http://{place['host']}:{place['port']}", username="root", key=KEY
    )
    collection = client.database(place["dbName"]).collection(place["collectionName"])
    rng = np.random.default_rng(5)
    for n in range(30):
        vector = rng.standard_normal(8).tolist()
        collection.upsert([{"id": str(n), "vector": vector, "path": f"./train/{n}.JPEG", "n": n}])
    yield collection
    client.close()


def test_s0_10_same_id_overwrites_and_extra_fields_are_kept(documents):
    documents.upsert([{"id": "3", "vector": [1.0] * 8, "path": "new", "n": 99}])
    rows = documents.query(limit=100)
    assert len(rows) == 30
    assert [(row["path"], row["n"]) for row in rows if row["id"] == "3"] == [("new", 99)]


def test_s0_11_up_to_20_vectors_are_searched_in_one_call(documents):
    queries = np.random.default_rng(5).standard_normal((30, 8))[:20]
    hits = documents.search(vectors=queries.tolist(), retrieve_vector=False, limit=10)
    assert [len(rows) for rows in hits] == [10] * 20
    assert [rows[0]["id"] for rows in hits] == [str(n) for n in range(20)]
    for rows in hits:
        assert [row["score"] for row in rows] == sorted(
            (row["score"] for row in rows), reverse=True
        )


def test_s0_12_path_is_queried_exactly(documents, library, photos):
    from tcvectordb.model.document import Filter

    (row,) = documents.query(filter=Filter('path="./train/7.JPEG"'), limit=10)
    assert (row["id"], "vector" in row) == ("7", False)
    path = str(photos / "train/goldfish/3.JPEG")
    (record,) = library.records(where=Field("path") == path)
    assert record.fields["path"] == path


def test_s0_13_only_named_things_are_destroyed(place, documents):
    client = ops.local.tcvdb_client(**place).get_op()
    with pytest.raises(imgsearch.errors.ConfigError, match="nothing dropped"):
        client.clear()
    with pytest.raises(imgsearch.errors.ConfigError, match="nothing dropped"):
        client.delete_and_drop()
    assert len(documents.query(limit=100)) == 30
    client.delete_and_drop(database=place["dbName"], collection=place["collectionName"])
    client.create_db_and_collection(8)
    client.clear(database=place["dbName"])
    with pytest.raises(imgsearch.errors.CollectionNotFound):
        ops.local.search_tcvdb_client(**place)(np.ones(8, np.float32))


def test_s0_14_connection_is_checked_with_one_request(emulator):
    answer = post(emulator, "/database/create", {"database": "mission-check"})
    assert {"code": 0, "msg": "operation success", "affectedCount": 1}.items() <= answer.items()


def test_s0_19_installed_versions_are_the_tested_ones():
    file = Path(imgsearch.__file__).parents[1] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    for line in project["dependencies"]:
        wanted = Requirement(line)
        try:
            installed = version(wanted.name)
        except PackageNotFoundError:
            continue  # an installation may lack data packages
        assert wanted.specifier.contains(installed, prereleases=True), line
        assert len(wanted.specifier) > 0, f"{line} has no bound"


def test_s0_2_csv_may_be_of_a_spreadsheet(photos, tmp_path):
    rows = [("id", "path", "label"), ("1", str(photos / "train/goldfish/0.JPEG"), "goldfish")]
    with (tmp_path / "x.csv").open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file, delimiter=";").writerows(rows)
    load = imgsearch.op("image_load")
    paths = pipe.input("src").flat_map("src", "p", load).output("p")(str(tmp_path / "x.csv"))
    assert paths.get() == [rows[1][1]]

"""Libraries whose rows are divided by the values of a field."""

import pytest

import imgsearch
from imgsearch import Field
from imgsearch.backends import Schema
from imgsearch.errors import ConfigError, SchemaMismatch
from imgsearch.library.copy import copy
from tests.pictures import write

FIELDS = {"tenant": str, "year": int, "paid": bool}


def test_partition_field_is_kept_and_searched(tmp_path):
    write(tmp_path / "Käse", 2)
    write(tmp_path / "猫", 2, start=2)
    db = tmp_path / "größe.db"
    with imgsearch.open(db, model="lite", fields=FIELDS, partition="tenant") as library:
        for tenant in ("Käse", "猫"):
            library.add(tmp_path / tenant, fields={"tenant": tenant})
    with imgsearch.open(db) as library:
        assert library.collection.schema.partition == "tenant"
        hits = library.search(next((tmp_path / "Käse").iterdir()), where=Field("tenant") == "猫")
        assert [hit.fields["tenant"] for hit in hits] == ["猫", "猫"]
        assert library.count() == 4
    with pytest.raises(SchemaMismatch, match="partition field: tenant there, year asked for"):
        imgsearch.open(db, partition="year")


@pytest.mark.parametrize(
    ("name", "message"), [("city", "'city' is not declared"), ("paid", "'paid' is bool")]
)
def test_partition_field_is_a_declared_text_or_integer(tmp_path, name, message):
    with pytest.raises(ConfigError, match=message):
        imgsearch.open(tmp_path / "x.db", fields=FIELDS, partition=name)
    assert not (tmp_path / "x.db").exists()


def test_images_are_divided_by_their_label(tmp_path):
    with imgsearch.open("memory://by-label", model="lite", partition="label") as library:
        library.add(*write(tmp_path, 1))
        assert library.collection.schema.partition == "label"


def test_schema_without_partitions_has_the_text_that_earlier_versions_read():
    assert "partition" not in Schema(4).to_json()
    divided = Schema(4, fields={"n": "int"}, partition="n")
    assert Schema.from_json(divided.to_json()) == divided


@pytest.mark.parametrize("target", ["milvus-lite", "tencent"])
def test_copy_is_divided_if_its_store_can(place_of, target):
    url, token = place_of(target)
    name = "copied_with_parts"
    with imgsearch.connect("memory://parts") as one, imgsearch.connect(url, token=token) as other:
        source = one.create(name, Schema(4, fields={"n": "int"}, partition="n"))
        try:
            copy(one, other, name)
            kept = other.open(name).schema.partition
            assert kept == ("n" if other.capabilities.partitions else "")
            other.drop(name)
            copy(one, other, name, partition="")
            assert other.open(name).schema.partition == ""
        finally:
            other.drop(name)
            one.drop(source.name)


def test_command_divides_a_new_library(run, tmp_path):
    write(tmp_path / "fotos", 1)
    words = ("--field", "tenant", "--partition", "tenant", "--model", "lite")
    done = run("add", "fotos", "--db", "x.db", *words)
    assert done.exit_code == 0, done.output
    assert '"partition": "tenant"' in run("info", "--db", "x.db", "--json").stdout

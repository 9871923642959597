"""One suite for every door to the images: libraries, a client, and the command line."""

import copy
import inspect
import io
import uuid
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from PIL import Image

import imgsearch
from imgsearch import Client, Field, Library, Query
from imgsearch.errors import (
    CollectionNotFound,
    ConfigError,
    FieldInvalid,
    ImageError,
    ImageNotFound,
    SchemaMismatch,
    SourceError,
)
from imgsearch.library.hits import Hits
from imgsearch.library.interface import SearchableImages
from imgsearch.query import SearchOptions
from tests.library.command_line import CommandLine, NotOffered
from tests.pictures import picture, write
from tests.service.running import jpeg, running
from tests.service.topologies import plain

FIELDS = {"year": int, "city": str, "paid": bool}

# test → why the command line cannot do it; docs/objects.md says the same
_MEMORY = "a command takes files; an image in memory is written to one first"
_TYPES = "a command has words only, which are texts or paths"
NOT_OFFERED = {
    "test_add_calls_back": "a command shows a progress bar, and writes failures to --report",
    **{
        f"test_add_takes_objects[{kind}]": _MEMORY
        for kind in (
            "Pillow", "bytes", "uint8", "floats", "batch", "pairs", "generator", "pandas", "arrow",
        )
    },
    "test_same_pixels_are_one_image": _MEMORY,
    "test_unusable_object_is_a_line_of_the_report": _MEMORY,
    "test_add_refuses_vectors_and_other_objects": _TYPES,
    "test_files_that_are_open_are_refused": _TYPES,
    "test_query_of_another_type_names_what_is_expected": _TYPES,
    "test_fields_of_a_call_apply_to_all_images": "the columns of a list hold the fields",
    "test_near_duplicates_are_hidden_by_a_score": "--hide-duplicates uses the measured threshold",
    "test_images_like_a_stored_one_are_found": "a command searches with the image's file",
    "test_images_and_texts_are_embedded": "vectors are written with the images: imgsearch copy",
}  # fmt: skip


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    folder = tmp_path_factory.mktemp("interface")
    with running(plain(folder / "größe"), folder / "data", fields=FIELDS) as service:
        yield service


@pytest.fixture(params=["memory", "embedded", "client", "command line"])
def images(request, tmp_path):
    """Return an empty collection."""
    if request.param == "command line":
        names = {request.node.originalname, request.node.name.replace("command line-", "")}
        reasons = [NOT_OFFERED[name] for name in sorted(names) if name in NOT_OFFERED]
        if reasons:  # strict: a line that is not needed any more has to go
            request.applymarker(
                pytest.mark.xfail(raises=NotOffered, reason=reasons[0], strict=True)
            )
        (tmp_path / "objekte").mkdir()
        opened = CommandLine(f"memory://{uuid.uuid4().hex}", tmp_path / "objekte", FIELDS)
    elif request.param == "client":
        service = request.getfixturevalue("service")
        opened = Client(service.url, service.secrets["admin"], collection=service.collection())
    else:
        url = f"memory://{uuid.uuid4().hex}" if request.param == "memory" else tmp_path / "größe.db"
        opened = imgsearch.open(url, model="lite", fields=FIELDS)
    with opened as images:
        yield images


@pytest.fixture
def photos(tmp_path):
    """Return a folder of two labels with three pictures each."""
    write(tmp_path / "Fotos/Käse", 3)
    write(tmp_path / "Fotos/猫", 3, start=3)
    return tmp_path / "Fotos"


def ids(hits):
    return [hit.id for hit in hits]


def labels(hits):
    return [hit.fields["label"] for hit in hits]


@pytest.mark.parametrize("kind", [Library, Client])
def test_signatures_are_those_of_the_interface(kind):
    assert issubclass(kind, SearchableImages)
    for name in sorted(SearchableImages.__abstractmethods__):
        declared = inspect.signature(getattr(SearchableImages, name)).parameters
        own = inspect.signature(getattr(kind, name)).parameters
        for parameter in declared.values():
            if parameter.kind is not parameter.VAR_POSITIONAL:  # `ids` of any name
                same = own[parameter.name]
                assert (same.kind, same.default) == (parameter.kind, parameter.default), name
        added = [parameter for key, parameter in own.items() if key not in declared]
        assert all(
            parameter.kind is parameter.VAR_POSITIONAL or parameter.default in (None, False)
            for parameter in added
        ), name


def test_differences_name_tests():
    names = {name.partition("[")[0] for name in NOT_OFFERED}
    assert names <= {name for name in globals() if name.startswith("test_")}


def test_nothing_was_added(images):
    assert (images.exists(), images.count()) == (False, 0)
    for call in (lambda: images.search(picture(1)), lambda: images.remove("nobody")):
        with pytest.raises(CollectionNotFound):
            call()
    with pytest.raises(ImageNotFound):
        images.get("nobody")


def test_add_reports_each_file_and_can_be_repeated(images, photos):
    broken = photos / "Käse/kaputt.jpg"
    broken.write_bytes(jpeg(1)[:200])
    (photos / "notes.txt").write_text("kein Bild")
    report = images.add(str(photos))
    assert (report.added, report.skipped, report.failed, report.ignored) == (6, 0, 1, 1)
    (failure,) = report.failures
    assert (failure.path, failure.stage, failure.error) == (str(broken), "header", "ImageCorrupt")
    assert (images.exists(), images.count()) == (True, 6)
    again = images.add(photos)
    assert (again.added, again.skipped, again.failed) == (0, 6, 1)
    with pytest.raises(SourceError):
        images.add(str(photos / "nowhere"))


def test_add_calls_back(images, photos):
    (photos / "Käse/kaputt.jpg").write_bytes(jpeg(1)[:200])
    (photos / "notes.txt").write_text("kein Bild")
    progress, failures = [], []
    report = images.add(photos, on_progress=progress.append, on_failure=failures.append)
    assert (progress[0].done, progress[-1].done, progress[-1].found) == (0, 8, 8)
    assert (len(failures), tuple(failures)) == (1, report.failures)


def test_add_replaces_labels_that_the_source_states(images, photos):
    images.add(photos)
    table = photos / "labels.csv"
    table.write_text("path,label\nKäse/bild-ü 0000.png,Brie\nKäse/bild-ü 0001.png,Käse\n", "utf-8")
    report = images.add(table)
    assert (report.added, report.updated, report.skipped) == (0, 1, 1)
    (hit,) = images.search(photos / "Käse/bild-ü 0000.png", k=1)
    assert (hit.fields["label"], images.get(hit.id).label) == ("Brie", "Brie")


def png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


OBJECTS = {
    "Pillow": lambda rgb: [Image.fromarray(pixels) for pixels in rgb],
    "bytes": lambda rgb: list(map(png, rgb)),
    "uint8": list,
    "floats": lambda rgb: [pixels / 255 for pixels in rgb],
    "batch": np.stack,
    "pairs": lambda rgb: [(f"bild-ü {place}.png", png(rgb[place])) for place in range(3)],
    "dicts": lambda rgb: [{"image": pixels, "label": "猫"} for pixels in rgb],
    "generator": iter,
    "pandas": lambda rgb: pd.DataFrame({"photo": list(rgb), "year": [2019, 2020, 2024]}),
    "arrow": lambda rgb: pa.table({"image": list(map(png, rgb)), "year": [2019, 2020, 2024]}),
}


@pytest.mark.parametrize("kind", OBJECTS)
def test_add_takes_objects(images, kind):
    rgb = [picture(seed) for seed in range(3)]
    source = OBJECTS[kind](rgb)
    assert (images.add(source).added, images.count()) == (3, 3)
    hits = images.search(rgb[1], k=3)
    assert hits[0].score == pytest.approx(1, abs=1e-6)  # the encoder gets the same pixels
    fields = images.get(hits[0].id).fields
    assert fields.get("year", 0) == (2020 if kind in ("pandas", "arrow") else 0)
    assert images.get(hits[0].id).label == ("猫" if kind == "dicts" else "")
    again = images.add(OBJECTS[kind](rgb))
    assert (again.added, again.skipped, images.count()) == (0, 3, 3)


def test_same_pixels_are_one_image(images):
    rgb = picture(1)
    same = [rgb, rgb / 255, Image.fromarray(rgb), np.dstack([rgb, np.full((48, 64), 255, "uint8")])]
    report = images.add(same)
    assert (report.added, report.skipped, images.count()) == (1, 3, 1)


def matching(images, where):
    return {hit.id for hit in images.search(picture(0), where=where)}


def test_fields_of_a_list_are_filled_and_filtered(images, tmp_path):
    files = write(tmp_path, 3)
    table = tmp_path / "liste.csv"
    rows = [f"bild-ü 000{place}.png,{2018 + place},x" for place in range(3)]
    table.write_text("\n".join(["path,year,more", *rows]), "utf-8")
    assert images.add(files[0]).added == 1
    report = images.add(table)
    assert (report.added, report.updated) == (2, 1)
    assert [note for note in report.notes if "'more'" in note]
    (newest,) = matching(images, "year >= 2020")
    assert images.get(newest).fields["year"] == 2020
    assert len(matching(images, Field("year") < 2020)) == 2
    again = images.add([{"path": files[2], "year": 1999, "city": "Köln", "paid": True}])
    assert (again.updated, again.skipped) == (1, 0)
    assert matching(images, {"year": 1999, "paid": True, "city": "Köln"}) == {newest}
    wrong = images.add([{"path": files[0], "year": "soon"}])
    assert (wrong.failed, wrong.failures[0].error) == (1, "FieldInvalid")


def test_fields_of_a_call_apply_to_all_images(images, tmp_path):
    write(tmp_path, 3)
    table = tmp_path / "liste.csv"
    rows = [f"bild-ü 000{place}.png,{2018 + place},x" for place in range(3)]
    table.write_text("\n".join(["path,year,more", *rows]), "utf-8")
    assert images.add(tmp_path / "bild-ü 0000.png").added == 1
    report = images.add(table, fields={"city": "Köln"})
    assert (report.added, report.updated) == (2, 1)
    assert [note for note in report.notes if "'more'" in note]
    (newest,) = matching(images, "year >= 2020 and city = Köln")
    assert images.get(newest).fields["year"] == 2020
    assert len(matching(images, Field("year") < 2020)) == 2
    again = images.add(tmp_path / "bild-ü 0002.png", fields={"year": 1999, "paid": True})
    assert (again.updated, again.skipped) == (1, 0)
    assert matching(images, {"year": 1999, "paid": True, "city": "Köln"}) == {newest}
    unchanged = images.add(tmp_path / "bild-ü 0002.png", fields={"year": 1999})
    assert (unchanged.updated, unchanged.skipped) == (0, 1)
    with pytest.raises(FieldInvalid):
        images.add(table, fields={"two words": 1})


def test_fields_are_declared_before_and_after_images(images):
    types = images.declare_fields({"size_cm": float})
    assert (types["size_cm"], types["year"], images.exists(), len(images)) == (
        "float", "int", True, 0,
    )  # fmt: skip
    images.add([{"image": picture(1), "size_cm": 3}])
    later = images.declare_fields({"shelf": "int", "size_cm": float})
    assert (later["shelf"], later["size_cm"]) == ("int", "float")
    images.add([{"image": picture(2), "shelf": 7}])
    assert len(matching(images, "shelf = 7")) == 1
    assert len(matching(images, "size_cm = 3.0 and shelf = 0")) == 1
    wrong = images.add([{"image": picture(3), "shelf": "oben"}])
    assert wrong.failures[0].error == "FieldInvalid"
    for fields, error in (
        ({"shelf": str}, SchemaMismatch),
        ({"label": str}, ConfigError),
        ({"shelf2": bytes}, ConfigError),
        ({"a b": int}, FieldInvalid),
        ({"id": int}, FieldInvalid),
    ):
        with pytest.raises(error):
            images.declare_fields(fields)
    assert images.add([{"image": picture(4)}]).added == 1  # a refused declaration changes nothing


def test_facets_count_the_values_of_a_field(images):
    with pytest.raises(CollectionNotFound):
        images.facets("city")
    cities = ["Köln", "Köln; Bonn", "", "a"]
    rows = [{"image": picture(seed), "city": city} for seed, city in enumerate(cities)]
    images.add(rows, fields={"year": 2024, "paid": True})
    assert images.facets("city") == {"Köln": 2, "Bonn": 1, "a": 1}
    assert list(images.facets("city", most=1)) == ["Köln"]
    assert images.facets("city", where={"city": {"contains": "Bonn"}}) == {"Köln": 1, "Bonn": 1}
    assert (images.facets("year"), images.facets("paid")) == ({2024: 4}, {True: 4})
    assert images.facets("nothing") == {}
    with pytest.raises(FieldInvalid):
        images.facets("city", where="nothing = 1")


def test_add_refuses_vectors_and_other_objects(images):
    for wrong in (np.ones(384), [0.1, 0.2], 42, [1, 2, 3], pd.DataFrame({"a": [1]}), ["a.png", 42]):
        with pytest.raises(
            SourceError, match="vector|cannot be added|no column of paths or images"
        ):
            images.add(wrong)
    assert not images.exists()


def test_files_that_are_open_are_refused(images):
    for wrong in (io.BytesIO(b"GIF89a"), [io.BytesIO(b"GIF89a")]):
        with pytest.raises(SourceError, match=r"BytesIO, which cannot be added. Add its bytes"):
            images.add(wrong)


def test_query_of_another_type_names_what_is_expected(images):
    images.add(picture(1))
    for wrong in (None, 5, pd.DataFrame({"a": ["b"]})):
        with pytest.raises(ConfigError, match="give a text, a path, bytes"):
            images.search(wrong)


def test_unusable_object_is_a_line_of_the_report(images):
    report = images.add(
        [picture(1), picture(2) * 2.0, b"GIF89a", ("böse.png", png(picture(3))[:90])]
    )
    assert (report.added, report.failed) == (1, 3)
    assert {(failure.path, failure.stage) for failure in report.failures} == {
        ("image 2", "read"),
        ("image 3", "header"),
        ("böse.png", "decode"),
    }


def test_search_takes_paths_bytes_pixels_texts_and_sums(images, photos):
    images.add(photos)
    some = photos / "猫/bild-ü 0004.png"
    pixels = picture(4)
    for query in (
        some, str(some), some.read_bytes(), pixels, pixels / 255, Image.fromarray(pixels),
        Query(pixels),
    ):  # fmt: skip
        hits = images.search(query)
        assert len(hits) == 6
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert hits[0].distance == pytest.approx(0, abs=1e-5)
        assert hits[0].fields["label"] == "猫"
        assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
    total = Query(picture(1)).plus(jpeg(4), weight=0.5).minus(some, weight=0.25)
    assert len(images.search(total, k=3)) == 3
    assert len(images.search("a photo of a dog")) == 6


def test_options_narrow_a_search(images, photos):
    images.add(photos)
    hits = images.search(picture(4))
    ids = [hit.id for hit in hits]

    def ids_of(**options):
        return [hit.id for hit in images.search(picture(4), **options)]

    assert ids_of(k=2, offset=3) == ids[3:5]
    assert ids_of(effort=64) == ids
    assert labels(images.search(picture(4), where=Field("label") == "Käse")) == ["Käse"] * 3
    least = (hits[1].score + hits[2].score) / 2
    assert ids_of(min_score=least) == ids[:2]
    options = SearchOptions(k=2, offset=1, where=Field("label") == "猫")
    assert images.search_with(picture(4), options) == images.search(
        picture(4), k=2, offset=1, where=Field("label") == "猫"
    )


def test_near_duplicates_are_hidden_by_a_score(images, photos):
    images.add(photos)
    nearest = ids(images.search(picture(4)))[:1]
    assert ids(images.search(picture(4), hide_duplicates=-1.0)) == nearest


@pytest.mark.parametrize(
    ("where", "label"),
    [
        ("label = Käse", "Käse"),
        ("label in ('Käse', 'x') and label is not null", "Käse"),
        ({"label": ["猫"]}, "猫"),
        ({"label": {"glob": "K*"}}, "Käse"),
        (Field("label").like("_ä%"), "Käse"),
        ("not label startswith K", "猫"),
        (Field("path").glob("*.png") & (Field("label") == "猫"), "猫"),
    ],
)
def test_filters_have_three_forms(images, photos, where, label):
    images.add(photos)
    assert labels(images.search(picture(4), where=where)) == [label] * 3
    options = SearchOptions(where=where)
    assert labels(images.search_with(picture(4), options)) == [label] * 3


@pytest.mark.parametrize("where", ["label =", {"label": {"~": 1}}, 5, "nothing = 1", "label = 3"])
def test_invalid_filters_raise(images, photos, where):
    images.add(photos / "Käse/bild-ü 0000.png")
    with pytest.raises(FieldInvalid):
        images.search(picture(1), where=where)


@pytest.mark.parametrize(
    ("query", "options", "error"),
    [
        ("a dog", {"k": 0}, ConfigError),
        ("a dog", {"offset": -1}, ConfigError),
        ("a dog", {"effort": 0}, ConfigError),
        ("a dog", {"min_score": float("nan")}, ConfigError),
        ("a dog", {"min_score": "viel"}, ConfigError),
        ("a dog", {"hide_duplicates": float("inf")}, ConfigError),
        (" ", {}, ConfigError),
        (b"GIF89a", {}, ImageError),
        ("missing.jpg", {}, SourceError),
    ],
)
def test_invalid_searches_raise(images, photos, query, options, error):
    images.add(photos / "Käse/bild-ü 0000.png")
    with pytest.raises(error):
        images.search(query, **options)


def test_hits_are_sorted_by_a_field(images, photos):
    images.add(photos)
    nearest = images.search(picture(4), k=4)
    by_label = images.search(picture(4), k=4, order_by="-label")
    assert sorted(hit.id for hit in by_label) == sorted(hit.id for hit in nearest)
    assert labels(by_label) == ["猫"] * 3 + ["Käse"]  # 猫 is U+732B, K is U+004B
    assert [hit.id for hit in by_label[:3]] == [hit.id for hit in nearest if hit.label == "猫"]
    assert labels(images.search_with(picture(4), SearchOptions(k=4, order_by="label")))[0] == "Käse"
    with pytest.raises(ConfigError, match="order"):
        images.search(picture(4), order_by="label desc")


def test_hits_and_records_are_sorted_by_known_fields(images, photos):
    assert list(images.records(order_by="nothing")) == []
    images.add(photos)
    paths = [hit.path for hit in images.search(picture(4), k=6, order_by="-path")]
    assert paths == sorted(paths, reverse=True)
    assert [image.path for image in images.records(order_by="-path")] == paths
    assert len(images.search(picture(4), order_by="-city")) == 6  # declared, and no image has it
    assert len(list(images.records(order_by="city"))) == 6
    for call in (
        lambda: images.search(picture(4), order_by="-citty"),
        lambda: images.search_many([picture(4)], order_by="citty"),
        lambda: images.records(order_by="-citty"),
        lambda: images.search("Käse", mode="text", order_by="citty"),
    ):
        with pytest.raises(ConfigError, match=r"cannot sort by 'citty': .* did you mean city\?"):
            call()


def test_several_queries_are_searched_at_once(images, photos):
    images.add(photos)
    queries = [picture(1), photos / "猫/bild-ü 0004.png", "a photo of a dog", jpeg(3)]
    options = {"k": 2, "where": "label is not null"}
    results = images.search_many(queries, **options)
    assert [ids(hits) for hits in results] == [
        ids(images.search(query, **options)) for query in queries
    ]
    assert all(isinstance(hits, Hits) for hits in results)
    assert images.search_many([]) == []
    with pytest.raises(ImageError):
        images.search_many([picture(1), b"GIF89a"])
    hits, error = images.search_many([picture(1), b"GIF89a"], k=1, errors="keep")
    assert (len(hits), isinstance(error, ImageError)) == (1, True)


def test_images_are_counted_listed_and_looked_up(images, photos):
    assert (len(images), list(images), "x" in images) == (0, [], False)
    images.add(photos)
    assert len(images) == 6
    assert {image.label for image in images} == {"Käse", "猫"}
    some = next(iter(images.records("label = Käse")))
    assert some.id in images
    assert f"{0:064x}" not in images
    assert 5 not in images
    assert some.path
    assert some.path in images
    assert not any(path in images for path in ("/fern/a b.jpg", "größe.jpg", "..", "", "x" * 300))
    assert [image.label for image in images.records(order_by="-label")] == ["猫"] * 3 + ["Käse"] * 3
    kept = images.records({"label": ["猫", "x"]}, order_by="label")
    assert [image.label for image in kept] == ["猫"] * 3
    assert list(images.records("label = x")) == []
    for where, order in (("label =", None), (None, "a b")):
        with pytest.raises((FieldInvalid, ConfigError)):
            images.records(where, order_by=order)


def test_paths_are_looked_up(images, photos, tmp_path, monkeypatch):
    file = photos / "Käse/bild-ü 0001.png"
    assert file not in images
    images.add(photos)
    monkeypatch.chdir(photos / "Käse")
    assert file in images
    assert str(file) in images
    assert "bild-ü 0001.png" in images
    assert write(tmp_path / "andere", 1, start=9)[0] not in images
    assert not any(path in images for path in (photos, "nul\0", photos / "weg.png", "/" * 9_000))


def test_images_and_texts_are_embedded(images, photos):
    file = photos / "猫/bild-ü 0004.png"
    assert images.embed([]).shape == (0, 384)  # also before anything was added
    items = [picture(4), file, file.read_bytes(), "a dog", Query(picture(1)).plus("a dog")]
    vectors = images.embed(items)
    assert (vectors.shape, vectors.dtype) == ((5, 384), np.float32)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-5)
    one, text = images.embed([picture(1), "a dog"])
    half = (one + text) / np.linalg.norm(one + text)
    np.testing.assert_allclose(vectors[4], half, atol=1e-5)
    assert not images.exists()
    with pytest.raises(ImageError):
        images.embed([picture(1), b"GIF89a"])
    with pytest.raises(SourceError):
        images.embed(["nowhere.jpg"])


def test_exported_file_is_searched_like_the_images(images, photos, tmp_path):
    file = tmp_path / "größe.parquet"
    with pytest.raises(CollectionNotFound):
        images.to_parquet(file)
    files = sorted(photos.rglob("*.png"))
    rows = [{"path": path, "label": path.parent.name, "year": 2024} for path in files]
    images.add(rows, fields={"city": "Köln"})
    assert images.to_parquet(file) == 6
    with imgsearch.open(file) as read:
        assert (len(read), read.model) == (6, "lite")
        for query in (picture(4), "a dog"):
            assert ids(read.search(query)) == ids(images.search(query))
        (hit,) = read.search(picture(4), k=1, where="label = 猫 and year = 2024 and city = Köln")
        assert (hit.path, hit["year"]) == (images.get(hit.id).path, 2024)
    with pytest.raises(SourceError, match="cannot be written"):
        images.to_parquet(tmp_path / "nowhere/x.parquet")
    assert [path.name for path in tmp_path.glob("*parquet*")] == [file.name]


def test_matching_images_are_counted_and_sorted(images):
    assert images.count("label = x") == 0
    rows = [{"image": picture(seed), "year": 2020 + seed} for seed in range(3)]
    images.add([*rows, {"image": picture(3), "label": "猫"}])
    assert [images.count(where) for where in ("year >= 2021", {"label": "猫"}, None)] == [2, 1, 4]
    for order, years in (("year", [2020, 2021, 2022]), ("-year", [2022, 2021, 2020])):
        listed = [image.fields.get("year", 0) for image in images.records(order_by=order)]
        # a library fills a declared field of an image without it with 0, a service leaves it out
        assert [year for year in listed if year] == years
    with pytest.raises(FieldInvalid):
        images.count("year >")


def test_hits_name_their_paths_and_show_pictures(images, photos):
    images.add(photos)
    hits = images.search(photos / "猫/bild-ü 0004.png", k=2)
    assert hits[0].path == hits[0]["path"] == images.get(hits[0].id).path
    assert hits[0].path.endswith("bild-ü 0004.png")
    assert hits[:1]._repr_html_().count('<img alt="" src="data:image/') == 1
    assert images.search_many([picture(1)], k=2)[0]._repr_html_().count("<img") == 2
    assert copy.deepcopy(hits) == hits  # as pickle


def test_get_and_remove_take_the_ids_of_hits(images, photos):
    images.add(photos)
    hit = images.search(picture(4), k=1)[0]
    image = images.get(hit.id)
    assert (image.id, image.label) == (hit.id, "猫")
    assert image.fields.items() <= hit.fields.items()
    assert images.remove(hit.id, "nobody") == 1
    assert images.count() == 5
    assert hit.id not in [other.id for other in images.search(picture(4))]
    for unknown in (hit.id, "nobody"):
        assert images.remove(unknown) == 0
        with pytest.raises(ImageNotFound):
            images.get(unknown)
    assert images.add(photos).added == 1


def test_images_like_a_stored_one_are_found(images, photos):
    with pytest.raises(ImageNotFound):
        images.more_like("nobody")
    images.add(photos)
    own, *others = images.search(picture(4), k=6)
    assert ids(images.more_like(own.id, k=3)) == ids(others[:3])
    assert ids(images.more_like(own.id, k=2, offset=4)) == ids(others[4:])
    cheese = images.more_like(own.id, where="label = Käse", order_by="-path")
    assert [hit.path for hit in cheese] == sorted((hit.path for hit in cheese), reverse=True)
    assert labels(cheese) == ["Käse"] * 3
    assert images.more_like(own.id, min_score=0.9999) == []
    for error, options in ((ImageNotFound, {}), (ConfigError, {"k": 0})):
        with pytest.raises(error):
            images.more_like("nobody" if not options else own.id, **options)


def test_close_is_idempotent(images):
    images.close()
    images.close()
    with images as same:
        assert same is images


def test_video_is_one_hit_at_its_best_moment(images, tmp_path):
    pytest.importorskip("av")
    from tests.clips import COLORS, clip
    from tests.clips import picture as frame

    (tmp_path / "Filme").mkdir()
    clip(tmp_path / "Filme/Käfer.mp4", colors=COLORS[:3])
    clip(tmp_path / "Filme/other.mp4", seconds=2, colors=COLORS[3:])
    report = images.add(tmp_path / "Filme", frames="1")
    assert (report.added, report.videos, report.failed) == (5, 2, 0)
    assert images.count() == 5
    hits = images.search(frame(20))
    assert [Path(hit["video"]).name for hit in hits] == ["Käfer.mp4", "other.mp4"]
    assert (hits[0]["seconds"], hits[0]["path"].endswith("Käfer.mp4#t=2")) == (2.0, True)
    late = images.search(frame(20), where="seconds < 2")
    assert late[0]["seconds"] in (0.0, 1.0)
    moments = images.search(frame(20), where=Field("video") == hits[0]["video"])
    assert sorted(hit["seconds"] for hit in moments) == [0.0, 1.0, 2.0]
    assert sorted(images.facets("video").values()) == [2, 3]
    again = images.add(tmp_path / "Filme", frames="1")
    assert (again.added, again.failed) == (0, 0)
    assert images.remove(*[hit.id for hit in moments]) == 3
    assert images.count() == 2

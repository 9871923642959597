"""Fields of an archive's images, in the catalog and in the vector store."""

import io
from dataclasses import replace

import pytest
from PIL import Image

import imgsearch
from imgsearch.archive import CollectionOptions, Incoming, Jobs
from imgsearch.errors import FieldInvalid
from imgsearch.filters import Field
from imgsearch.query import SearchOptions
from tests.archive.place import archive, jpeg
from tests.pictures import picture, write

TYPES = {"year": int, "city": str}


@pytest.fixture
def opened(tmp_path):
    with archive(tmp_path, creation=CollectionOptions("classic", fields=TYPES)) as store:
        yield store


def names(opened, where):
    options = SearchOptions(k=9, where=where)
    return sorted(hit.entry.name for hit in opened.search(jpeg(1), options))


def test_updates_and_the_next_first_image_change_what_is_filtered(opened):
    first = Incoming("ä.jpg", data=jpeg(1), fields={"year": 2019.0, "id": "x", "own": 1})
    second = Incoming("b.jpg", data=jpeg(1), fields={"city": "Köln"})
    added = opened.add([first, second, Incoming("c.jpg", data=jpeg(2))])
    assert (added.report.added, added.entries[0].fields) == (
        3,
        {"year": 2019, "id": "x", "own": 1},
    )
    assert names(opened, Field("year") == 2019) == ["ä.jpg"]
    id_ = added.entries[0].id
    opened.update(id_, fields={"year": 2024, "tags": ["a", "b"]})
    assert opened.entry(id_).fields["tags"] == "a; b"
    assert names(opened, Field("year") == 2024) == ["ä.jpg"]
    assert names(opened, Field("year") == 2019) == []
    with pytest.raises(FieldInvalid, match="takes int, not str"):
        opened.update(id_, fields={"year": "soon"})
    opened.delete([id_])
    assert names(opened, Field("city") == "Köln") == ["b.jpg"]
    assert names(opened, Field("year") == 2024) == []


def test_values_that_another_program_wrote_stay_with_a_new_label(opened):
    (entry,) = opened.add([Incoming("a.jpg", data=jpeg(1), fields={"year": 2019})]).entries
    library = opened.library()
    (stored,) = library.collection.get([entry.content], vectors=True).values()
    library.insert([replace(stored, fields={**stored.fields, "city": "Köln"})])
    opened.update(entry.id, label="neu", fields={})
    (stored,) = library.collection.get([entry.content]).values()
    assert stored.fields == {"path": "a.jpg", "label": "neu", "city": "Köln", "year": 0}


def test_value_of_another_type_fails_its_image(opened):
    added = opened.add([Incoming("a.jpg", data=jpeg(1), fields={"year": "soon"})])
    assert [failure.error for failure in added.report.failures] == ["FieldInvalid"]


def test_undeclared_values_are_filtered_once_their_field_is_declared(tmp_path):
    with archive(tmp_path) as store:
        store.add(
            [
                Incoming("a.jpg", data=jpeg(1), fields={"year": 2019}),
                Incoming("b.jpg", data=jpeg(2), fields={"year": "soon"}),
            ]
        )
    with archive(tmp_path, creation=CollectionOptions(fields=TYPES)) as store:
        store.add([Incoming("c.jpg", data=jpeg(3), fields={"year": 2019})])
        assert names(store, Field("year") == 2019) == ["a.jpg", "c.jpg"]
        assert store.collections()[0].fields["year"] == "int"


def test_image_that_a_library_added_keeps_its_fields(tmp_path):
    url = tmp_path / "vectors.db"
    with imgsearch.open(url, model="classic", fields=TYPES) as library:
        file = tmp_path / "ü.jpg"
        file.write_bytes(jpeg(1))
        library.add(file, fields={"year": 2019})
    with archive(tmp_path) as store:
        store.repair()
        (entry,) = store.entries("images").entries
        store.update(entry.id, label="neu")
        assert names(store, (Field("year") == 2019) & (Field("label") == "neu")) == ["ü.jpg"]


def test_metadata_of_uploads_is_kept_without_places(tmp_path):
    exif = Image.Exif()
    exif[0x0110] = "Käsekamera"
    exif.get_ifd(0x8825).update({1: "N", 2: (50.0, 0.0, 0.0), 3: "E", 4: (7.0, 0.0, 0.0)})
    file = io.BytesIO()
    Image.fromarray(picture(1)).save(file, "JPEG", exif=exif)
    creation = CollectionOptions("classic", exif=("camera", "width"))
    with archive(tmp_path, creation=creation) as store:
        (entry,) = store.add([Incoming("a.jpg", data=file.getvalue())]).entries
        assert entry.fields == {"camera": "K?sekamera", "width": 64}
        store.update(entry.id, fields={**entry.fields, "camera": "neu"})
        again = store.add([Incoming("a.jpg", data=file.getvalue())])
        assert (again.report.skipped, again.entries[0].fields["camera"]) == (1, "neu")
        assert names(store, Field("camera") == "neu") == ["a.jpg"]


def test_job_reads_the_columns_of_declared_fields(tmp_path, caplog):
    write(tmp_path / "bilder", 2)
    table = tmp_path / "bilder/liste.csv"
    rows = ["path,year,more", "bild-ü 0000.png,2019,x", "bild-ü 0001.png,soon,x"]
    table.write_text("\n".join(rows), "utf-8")
    creation = CollectionOptions("classic", fields=TYPES)
    with archive(tmp_path, creation=creation, roots=(tmp_path / "bilder",)) as store:
        jobs = Jobs(store)
        try:
            job = jobs.start_folder(str(table))
            last = list(jobs.watch(job.id))[-1]
            assert (last.state, last.inserted, last.failed) == ("done", 1, 1)
            (failure,) = jobs.failures(job.id).failures
            assert "field 'year' takes int, not 'soon'" in failure.reason
        finally:
            jobs.close()
        assert names(store, Field("year") == 2019) == ["bild-ü 0000.png"]
    assert "liste.csv: 1 column was not added: 'more'" in caplog.text

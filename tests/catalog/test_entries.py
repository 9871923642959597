"""Entries are written and deleted in whole transactions, and round-trip unchanged."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import pytest

from imgsearch.catalog import Catalog, Entry, entry_id
from imgsearch.errors import ConfigError, ImageBusy, ImageExists, ImageNotFound
from tests.catalog.places import NOON, content, entry, removed


def test_entry_round_trips(catalog):
    written = Entry(
        id="A-z_0.9",
        collection="photos",
        content=content(1),
        source="folder",
        name="\N{CJK UNIFIED IDEOGRAPH-20BB7}野家 😀 é.jpg",  # characters of four bytes
        place="/Bilder/日本/😀.jpg",
        size=2**63 - 1,
        width=123456789012345678,
        height=1,
        format="JPEG",
        label="Katze ",  # a trailing blank counts
        fields={"id": 123456789012345678, "höhe": 1.5, "ja": True, "名": "東京", "eins": 1.0},
        encoder="lite",
        stored=True,
        created=datetime(2026, 7, 1, 14, 0, 0, 7, tzinfo=timezone(timedelta(hours=2))),
    )
    [new] = catalog.begin([written])
    stored = catalog.get("A-z_0.9")
    assert stored == new
    assert stored == replace(written, updated=stored.updated)
    assert stored.created.utcoffset() == timedelta(0)
    assert stored.created.isoformat() == "2026-07-01T12:00:00.000007+00:00"
    assert abs(stored.updated - datetime.now(UTC)) < timedelta(minutes=1)
    assert [type(value) for value in stored.fields.values()] == [int, float, bool, str, float]
    assert list(stored.fields) == ["id", "höhe", "ja", "名", "eins"]
    assert stored.stored is True


def test_ids_are_strings(catalog):
    # another system stored ids of 18 digits as 2147483647, in a 32-bit column
    ids = ["466123456789012345", "466123456789012346", "007", "7", "1e3", "1000", "0x10"]
    catalog.begin([entry(n, id=id_) for n, id_ in enumerate(ids)])
    assert [catalog.get(id_).id for id_ in ids] == ids
    assert {entry.content for entry in catalog.find(ids).values()} == {
        content(n) for n in range(len(ids))
    }


@pytest.mark.parametrize(
    "text", ["'; DROP TABLE entries; --", '"); DELETE FROM entries; --', "%s :x ? \\' {}", "100%_"]
)
def test_names_are_data(catalog, text):
    # another system pasted names into SQL statements
    catalog.begin(
        [
            entry(1, name=text, label=text, place=text, encoder=text, fields={text: text}),
            entry(2, name="another", label="another"),
        ]
    )
    assert catalog.page(text=text).entries == [catalog.get("id-00001")]
    assert catalog.page(label=text).entries[0].fields == {text: text}
    catalog.ready(["id-00001", text], changes={"id-00001": {"encoder": text}})
    catalog.failed({text: text})
    assert catalog.update("id-00001", label=text + "!").label == text + "!"
    assert catalog.labels("photos") == {text + "!": 1}
    assert catalog.labels(text) == {}
    assert catalog.count(text) == 0
    assert catalog.find([text]) == {}
    assert catalog.mark_deleting([text]) == []
    with pytest.raises(ConfigError, match="order"):
        catalog.page(order=text)
    assert catalog.count() == 2


def test_strings_are_compared_by_bytes(catalog):
    labels = ["Katze", "katze", "katze ", "kätze", "ß", "ss"]
    catalog.begin([entry(n, label=label) for n, label in enumerate(labels)])
    catalog.ready([f"id-{n:05}" for n in range(len(labels))])
    for n, label in enumerate(labels):
        assert [entry.id for entry in catalog.page(label=label).entries] == [f"id-{n:05}"]
    # the same text in another Unicode form
    (decomposed,) = catalog.page(label="ka\u0308tze").entries
    assert decomposed.label == "kätze"
    assert list(catalog.labels("photos")) == sorted(labels)


def test_ids_are_case_sensitive(catalog):
    catalog.begin([entry(1, id="abc"), entry(2, id="ABC")])
    assert catalog.get("abc").content == content(1)
    assert catalog.get("ABC").content == content(2)


@pytest.mark.parametrize("id_", ["abc ", "abd", "", "äbc", "abc\0", "\ud800", "a" * 65])
def test_unknown_id_raises(catalog, id_):
    catalog.begin([entry(1, id="abc")])
    with pytest.raises(ImageNotFound, match="does not exist"):
        catalog.get(id_)
    with pytest.raises(ImageNotFound):
        catalog.update(id_, label="x")
    assert catalog.find([id_, "abc"]).keys() == {"abc"}
    assert catalog.mark_deleting([id_]) == []
    catalog.forget([id_])
    catalog.ready([id_])
    catalog.failed({id_: "x"})
    assert catalog.count() == 1


def test_entry_id_is_derived_from_the_source():
    one = entry_id("photos", content(1), "folder", "/a/ü.jpg")
    assert one == entry_id("photos", content(1), "folder", "/a/ü.jpg")
    assert len(one) == 32
    assert int(one, 16)
    others = {
        entry_id("photos", content(1), "folder", "/a/u.jpg"),
        entry_id("photos", content(1), "upload", "/a/ü.jpg"),
        entry_id("photos", content(2), "folder", "/a/ü.jpg"),
        entry_id("photo", "s" + content(1), "folder", "/a/ü.jpg"),
        entry_id("photos", content(1), "folde", "r/a/ü.jpg"),
        entry_id("photos", content(1), "folder", "/a/\udcfc.jpg"),  # a name that is not UTF-8
    }
    assert len(others | {one}) == 7


def test_begin_keeps_existing_entries(catalog):
    catalog.begin([entry(1, label="first"), entry(2), entry(3)])
    catalog.ready(["id-00001"])
    catalog.failed({"id-00002": "ImageCorrupt: größer"})
    assert catalog.get("id-00002").error == "ImageCorrupt: größer"
    stored = catalog.get("id-00001")
    one, two, twice, new = catalog.begin(
        [entry(1, label="second"), entry(2), entry(2, label="x"), entry(4)]
    )
    assert one == stored
    assert (two.state, two.error) == ("pending", "")
    assert twice == two
    assert (new.state, new.id) == ("pending", "id-00004")
    assert catalog.get("id-00002") == two
    assert catalog.begin([]) == []


@pytest.mark.parametrize("other", [{"content": content(9)}, {"collection": "other"}])
def test_clashing_id_writes_nothing(catalog, other):
    catalog.begin([entry(1)])
    catalog.failed({"id-00001": "x"})
    before = catalog.page()
    with pytest.raises(ImageExists, match="'id-00001'"):
        catalog.begin([entry(2), entry(1), entry(1, **other), entry(3)])
    with pytest.raises(ImageExists, match="'id-00002'"):
        catalog.begin([entry(2), entry(2, **other)])
    assert catalog.page() == before
    assert catalog.contents() == 1


def test_begin_raises_during_a_deletion(catalog):
    catalog.begin([entry(1), entry(2)])
    catalog.mark_deleting(["id-00001"])
    for busy in (entry(1), entry(1, id="b"), entry(1, id="c", collection="other")):
        with pytest.raises(ImageBusy, match="id-00001"):
            catalog.begin([entry(3), busy])
    with pytest.raises(ImageBusy):
        catalog.update("id-00001", label="x")
    assert catalog.count() == 2
    catalog.forget(["id-00001"])
    assert catalog.begin([entry(1)])[0].state == "pending"


def test_ready_and_failed_change_only_pending_entries(catalog):
    catalog.begin([entry(n) for n in range(4)])
    ids = [f"id-{n:05}" for n in range(4)]
    catalog.mark_deleting(ids[:1])
    catalog.failed({ids[1]: "Some: \0 \ud800", ids[0]: "x"})
    # replaced, because databases cannot store these characters
    assert catalog.get(ids[1]).error == "Some: ? ?"
    known = {"width": 640, "height": 480, "format": "WEBP", "encoder": "lite", "stored": True}
    changes = {ids[2]: known, ids[0]: known, ids[3]: known}
    assert set(catalog.ready([*ids[:3], "unknown"], changes=changes)) == {ids[1], ids[2]}
    assert catalog.ready(ids[:3]) == []  # only the first of two writers makes them ready
    catalog.failed(dict.fromkeys(ids, "late"))
    entries = catalog.find(ids)
    assert [entries[id_].state for id_ in ids] == ["deleting", "ready", "ready", "failed"]
    assert entries[ids[1]].error == ""
    third = entries[ids[2]]
    assert (third.width, third.height, third.format, third.encoder) == (640, 480, "WEBP", "lite")
    assert third.stored is True
    assert (entries[ids[0]].width, entries[ids[1]].width, entries[ids[3]].width) == (0, 0, 0)


def test_update_changes_only_the_given_fields(catalog):
    catalog.begin([entry(1, label="alt", fields={"a": 1, "b": 2})])
    first = catalog.get("id-00001")
    changed = catalog.update("id-00001", label="neu 😀", fields={"c": "ü"})
    assert changed == catalog.get("id-00001")
    assert changed == replace(first, label="neu 😀", fields={"c": "ü"}, updated=changed.updated)
    assert changed.updated >= first.updated
    assert catalog.update("id-00001", name="Ärger.png").name == "Ärger.png"
    assert catalog.page(text="ÄRGER").total == 1
    assert catalog.update("id-00001", label="").label == ""


def test_last_reference_releases_vector_and_original(catalog):
    same = {"content": content(7), "stored": True}
    catalog.begin(
        [
            entry(1, **same),
            entry(2, **same),
            entry(3, **same, collection="other"),
            entry(4),
        ]
    )
    [first] = catalog.mark_deleting(["id-00001"])
    assert (first.last_in_collection, first.last_anywhere) == (False, False)
    assert first.entry == catalog.get("id-00001")
    assert first.entry.state == "deleting"
    [second] = catalog.mark_deleting(["id-00002"])
    assert (second.last_in_collection, second.last_anywhere) == (True, False)
    [third, unrelated] = catalog.mark_deleting(["id-00003", "unknown", "id-00004", "id-00003"])
    assert (third.entry.id, third.last_in_collection, third.last_anywhere) == (
        "id-00003",
        True,
        True,
    )
    assert unrelated.last_anywhere
    assert catalog.referenced([content(7), content(4), content(99), "x"]) == {content(7)}
    # repeated, as after an interrupted deletion: now the first one is also the last
    assert [deletion.last_anywhere for deletion in catalog.mark_deleting(["id-00001"])] == [True]
    catalog.forget(["id-00001", "id-00002", "id-00003"])
    assert catalog.referenced([content(7)]) == set()
    assert catalog.count() == 1


def test_references_deleted_together_are_both_the_last(catalog):
    catalog.begin([entry(1, content=content(7)), entry(2, content=content(7))])
    deletions = catalog.mark_deleting(["id-00001", "id-00002"])
    assert [(deletion.last_in_collection, deletion.last_anywhere) for deletion in deletions] == [
        (True, True)
    ] * 2


def frame(number, video, original, **values):
    return entry(
        number, content=content(number), video=video, original=content(original),
        seconds=number / 4, stored=True, **values,
    )  # fmt: skip


def test_original_of_frames_is_released_with_the_last_frame(catalog):
    frames = [frame(1, "v1", 90), frame(2, "v1", 90), frame(3, "v2", 90, collection="other")]
    catalog.begin([*frames, entry(4, content=content(1), stored=True)])  # the pixels of frame 1
    catalog.ready([f"id-0000{number}" for number in range(1, 5)])
    assert (catalog.get("id-00001").seconds, catalog.get("id-00001").file) == (0.25, content(90))
    assert catalog.referenced([content(1), content(2), content(90)]) == {content(1), content(90)}
    [video] = catalog.videos("photos")
    assert (video.id, video.frames, video.entry.id) == ("v1", 2, "id-00001")
    assert catalog.videos("photos", after="v1") == []
    assert catalog.of_videos(["v1", "v2", "v3"]) == ["id-00001", "id-00002", "id-00003"]
    first, second, image = catalog.mark_deleting(["id-00001", "id-00002", "id-00004"])
    assert (first.last_in_collection, first.last_anywhere, first.last_of_content) == (1, 0, 1)
    assert (second.last_anywhere, image.last_anywhere) == (False, True)
    catalog.forget(["id-00001", "id-00002", "id-00004"])
    [last] = catalog.mark_deleting(["id-00003"])
    assert last.last_anywhere
    with pytest.raises(ImageBusy):
        catalog.begin([frame(5, "v1", 90)])
    catalog.forget(["id-00003"])
    catalog.begin([frame(5, "v1", 90)])
    with pytest.raises(ConfigError, match="no video"):
        catalog.begin([replace(frame(6, "v1", 90), video="no video")])


def test_forget_removes_only_entries_marked_deleting(catalog):
    catalog.begin([entry(1), entry(2)])
    catalog.mark_deleting(["id-00001"])
    catalog.forget(["id-00001", "id-00002"])
    assert list(catalog.find(["id-00001", "id-00002"])) == ["id-00002"]


def test_references_are_found_by_content_oldest_first(catalog):
    shared = content(7)
    catalog.begin(
        [
            entry(3, content=shared),
            entry(1, content=shared),
            entry(2, content=shared, id="b", created=NOON),
            entry(4, content=shared, id="a", created=NOON),
            entry(5, content=shared, collection="other"),
            entry(6, content=shared),
            entry(8),
        ]
    )
    catalog.ready(["id-00003", "id-00001", "a", "b", "id-00005", "id-00008"])
    by_content = catalog.of_contents("photos", [content(8), shared, content(9), "none"])
    assert {key: [reference.id for reference in value] for key, value in by_content.items()} == {
        shared: ["a", "b", "id-00001", "id-00003"],
        content(8): ["id-00008"],
    }
    pending = catalog.of_contents("photos", [shared], states=("pending", "failed"))
    assert [reference.id for reference in pending[shared]] == ["id-00006"]


def test_thousand_entries_are_added_found_and_removed_at_once(catalog):
    many = [entry(n, fields={"n": n}) for n in range(1000)]
    ids = [item.id for item in many]
    assert [item.id for item in catalog.begin(many[::-1])] == ids[::-1]
    catalog.ready(ids, changes={id_: {"width": n} for n, id_ in enumerate(ids)})
    entries = catalog.find(ids)
    assert [entries[id_].width for id_ in ids] == list(range(1000))
    assert catalog.count("photos", "ready") == catalog.contents("photos") == 1000
    assert len(catalog.of_contents("photos", [content(n) for n in range(1000)])) == 1000
    assert all(item.last_anywhere for item in catalog.mark_deleting(ids))
    catalog.forget(ids)
    assert catalog.count() == catalog.contents() == 0


def test_counts_and_collections(catalog):
    catalog.begin(
        [
            entry(1, label="b"),
            entry(2, label="a"),
            entry(3, label="a", content=content(1)),
            entry(4, label="c", collection="other"),
        ]
    )
    catalog.ready(["id-00001", "id-00002", "id-00003"])
    assert catalog.collections() == {"other": 1, "photos": 3}
    assert catalog.count() == 4
    assert catalog.count("photos") == 3
    assert catalog.count(state="ready") == 3
    assert catalog.count("other", "ready") == 0
    assert (catalog.contents(), catalog.contents("photos")) == (3, 2)
    assert list(catalog.labels("photos").items()) == [("a", 2), ("b", 1)]
    assert catalog.labels("other") == {}
    with pytest.raises(ConfigError, match="state"):
        catalog.count(state="gone")


def test_unfinished_returns_pending_and_deleting_entries(catalog):
    catalog.begin([entry(n) for n in range(1, 6)])
    catalog.ready(["id-00001", "id-00002"])
    catalog.failed({"id-00003": "x"})
    catalog.mark_deleting(["id-00002"])
    waiting = [waiting_entry.id for batch in catalog.unfinished() for waiting_entry in batch]
    assert waiting == ["id-00004", "id-00005", "id-00002"]
    assert list(catalog.unfinished(older_than=60)) == []


def test_unfinished_yields_every_entry_once_during_changes(catalog):
    many = [entry(n) for n in range(1200)]
    catalog.begin(many)
    yielded_ids = []
    for batch in catalog.unfinished():
        assert len(batch) <= 500
        yielded_ids += [item.id for item in batch]
        catalog.ready([item.id for item in batch[::2]])
    assert sorted(yielded_ids) == [item.id for item in many]
    assert catalog.count(state="pending") == 600
    removed(catalog, *(item.id for item in many))


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ({"id": ""}, "id ''"),
        ({"id": "a/b"}, "id 'a/b'"),
        ({"id": "a" * 65}, "1 to 64"),
        ({"collection": "no name"}, "collection name"),
        ({"content": "ABC"}, "sha256"),
        ({"content": content(1).upper()}, "sha256"),
        ({"name": "x" * 513}, "longer than 512"),
        ({"name": "a\0b"}, "NUL"),
        ({"label": "\ud83d"}, "surrogate"),
        ({"place": "\udcff"}, "surrogate"),
        ({"fields": {"a": float("nan")}}, "finite"),
        ({"fields": {"a": None}}, "not a text"),
        ({"fields": {1: "a"}}, "not a text"),
        ({"fields": {"a": "\0"}}, "NUL"),
        ({"size": -1}, "size"),
        ({"size": 2**63}, "size"),
        ({"size": True}, "'size'"),
        ({"width": 1.5}, "'width'"),
        ({"created": datetime(2026, 1, 1)}, "time zone"),  # noqa: DTZ001
    ],
)
def test_invalid_entries_are_rejected(tmp_path, wrong, match):
    with Catalog(str(tmp_path / "c.db")) as catalog:
        with pytest.raises(ConfigError, match=match):
            catalog.begin([entry(2), replace(entry(1), **wrong)])
        assert catalog.count() == 0


@pytest.mark.parametrize("wrong", [{"state": "ready"}, {"width": "3"}, {"label": "a"}])
def test_ready_accepts_only_size_and_format(tmp_path, wrong):
    with Catalog(str(tmp_path / "c.db")) as catalog:
        catalog.begin([entry(1)])
        with pytest.raises(ConfigError, match="cannot be changed to"):
            catalog.ready(["id-00001"], changes={"id-00001": wrong})
        assert catalog.get("id-00001").state == "pending"

"""Listings are ordered and have every entry once, also during additions."""

import base64
import json
from datetime import timedelta
from operator import attrgetter

import pytest

from imgsearch.catalog import Catalog
from imgsearch.catalog.cursor import encode
from imgsearch.errors import ConfigError
from imgsearch.filters import to_filter
from tests.catalog.places import NOON, content, entry

NAMES = ["b", "a", "ä", "B", "a ", "😀", "ﬀ", "", "a\u0308", "z", "10", "9", "a"]


def walked(catalog, **options):
    """Return the ids of a listing, read page by page."""
    ids, after = [], None
    while True:
        page = catalog.page(after=after, **options)
        ids += [item.id for item in page.entries]
        assert len(page.entries) <= options["limit"]
        if page.next is None:
            return ids
        assert len(page.entries) == options["limit"]
        after = page.next


@pytest.mark.parametrize("order", ["created", "name", "size", "label"])
def test_every_order_is_total_with_ties_by_id(catalog, order):
    entries = [
        entry(n, name=name, label=name, size=n % 3, created=NOON + timedelta(microseconds=n % 5))
        for n, name in enumerate(NAMES)
    ]
    catalog.begin([*entries, entry(99, collection="other")])
    expected = [item.id for item in sorted(entries, key=attrgetter(order, "id"))]
    for limit in (1, 3, 4, 1000):
        assert walked(catalog, collection="photos", order=order, limit=limit) == expected
        options = {"collection": "photos", "order": order, "limit": limit, "descending": True}
        assert walked(catalog, **options) == expected[::-1]
    assert catalog.page("photos", limit=2).total == len(NAMES)
    assert catalog.page(limit=2).total == len(NAMES) + 1


YEARS = [2019, None, 2024.5, "2020", "", True, -3, "a" * 70 + "b", "a" * 70 + "a", "ä", 2019]
# numbers (True is 1), then texts by code point, of which 64 letters are compared; then missing ones
BY_YEAR = [6, 5, 0, 10, 2, 3, 7, 8, 9]


def test_entries_are_sorted_by_a_field(catalog):
    catalog.begin(
        [
            entry(n, fields={} if year is None else {"year": year}, name=f"{n:02}")
            for n, year in enumerate(YEARS)
        ]
    )
    for limit in (1, 2, 5, 1000):
        options = {"collection": "photos", "order": "year", "limit": limit}
        assert walked(catalog, **options) == [f"id-{n:05}" for n in [*BY_YEAR, 1, 4]]
        down = walked(catalog, descending=True, **options)
        assert down == [f"id-{n:05}" for n in [*BY_YEAR[::-1], 4, 1]]
    narrow = catalog.page("photos", order="year", where=to_filter("year > 2000"), limit=2)
    assert ([item.name for item in narrow.entries], narrow.total) == (["00", "10"], 3)
    catalog.ready(["id-00000", "id-00001"])
    assert catalog.count_matching("photos", to_filter("year > 2000")) == (1, 1)
    by_id = catalog.page(order="id", descending=True, limit=1).entries
    assert [item.name for item in by_id] == ["10"]


@pytest.mark.parametrize("order", ["name", "year"])
@pytest.mark.parametrize("where", [None, to_filter("size < 7")])
def test_numbered_pages_are_parts_of_the_listing(catalog, order, where):
    catalog.begin([entry(n, name=f"{n:02}", size=n, fields={"year": n % 4}) for n in range(9)])
    options = {"order": order, "where": where, "descending": order == "year"}
    whole = [item.id for item in catalog.page("photos", limit=1000, **options).entries]
    assert len(whole) == (9 if where is None else 7)
    for skip in (0, 2, 4, 6, 8, 10):
        page = catalog.page("photos", limit=2, skip=skip, **options)
        assert [item.id for item in page.entries] == whole[skip : skip + 2]
        assert page.total == len(whole)
        assert (page.next is None) == (skip + 2 >= len(whole))
    first = catalog.page("photos", limit=2, skip=2, **options)
    after = catalog.page("photos", limit=2, after=first.next, **options)
    assert [item.id for item in after.entries] == whole[4:6]


def test_skipped_entries_are_limited_and_exclude_a_cursor(catalog):
    catalog.begin([entry(n) for n in range(2)])
    cursor = catalog.page(limit=1).next
    for skip, after, message in (
        (-1, None, "out of range"),
        (100_001, None, "100,000"),
        (1, cursor, "not both"),
    ):
        with pytest.raises(ConfigError, match=message):
            catalog.page(skip=skip, after=after)


def test_order_by_an_unknown_field_raises(catalog):
    assert catalog.page(order="year").entries == []
    catalog.begin([entry(1, fields={"year": 2019})])
    assert catalog.page(order="city", declared=["city"]).total == 1
    with pytest.raises(ConfigError, match=r"cannot sort by 'yeer'.* did you mean year"):
        catalog.page(order="yeer")


@pytest.mark.parametrize("value", ["", "[", "NaN", "[1]", "9" * 5000, "\0", 1])
def test_forged_cursor_of_a_field_raises(tmp_path, value):
    with (
        Catalog(str(tmp_path / "c.db")) as catalog,
        pytest.raises(ConfigError, match="cursor"),
    ):
        catalog.page(order="year", after=encode("year by field up", value, "id"))


def test_pages_stay_consistent_during_additions_and_deletions(catalog):
    catalog.begin([entry(n, name=f"{n:02}") for n in range(10, 20)])
    first = catalog.page(order="name", limit=4)
    catalog.begin([entry(1, name="01"), entry(2, name="135"), entry(3, name="99")])
    catalog.mark_deleting(["id-00013", "id-00015"])
    # the last entry of the first page, and one of a later page
    catalog.forget(["id-00013", "id-00015"])
    second = catalog.page(order="name", limit=4, after=first.next)
    third = catalog.page(order="name", limit=4, after=second.next)
    names = [[item.name for item in page.entries] for page in (first, second, third)]
    assert names == [["10", "11", "12", "13"], ["135", "14", "16", "17"], ["18", "19", "99"]]
    assert (first.total, second.total, third.next) == (10, 11, None)


def test_filters_combine(catalog):
    catalog.begin(
        [
            entry(1, name="Katze 1.jpg", label="cat", source="folder"),
            entry(2, name="katze 2.jpg", label="cat", source="upload"),
            entry(3, name="Hund.jpg", label="dog", source="upload"),
            entry(4, name="katze 4.jpg", label="cat", source="upload", content=content(2)),
            entry(5, name="KATZE.jpg", label="cat", collection="other"),
        ]
    )
    catalog.ready(["id-00002", "id-00004"])

    def ids(**filters):
        page = catalog.page(**filters)
        assert page.total == len(page.entries)
        return [int(item.id[3:]) for item in page.entries]

    assert ids(text="katze") == [1, 2, 4, 5]
    assert ids(collection="photos", text="TZE") == [1, 2, 4]
    assert ids(collection="photos", text="katze", state="pending") == [1]
    assert ids(label="cat", source="upload") == [2, 4, 5]
    assert ids(content=content(2)) == [2, 4]
    assert ids(content=content(2), text="4") == [4]
    assert ids(text="") == [1, 2, 3, 4, 5]
    assert ids(label="") == []
    second, fourth = (NOON + timedelta(seconds=n) for n in (2, 4))
    assert ids(created_after=second, created_before=fourth) == [2, 3]
    assert ids(created_after=second + timedelta(microseconds=1), created_before=fourth) == [3]


@pytest.mark.parametrize(
    ("name", "text", "matches"),
    [
        ("100%.jpg", "%", True),
        ("100.jpg", "%", False),
        ("a_b", "_", True),
        ("ab", "a_b", False),
        ("back\\slash", "\\", True),
        ("plain", "\\", False),
        ("Straße.jpg", "STRASSE", True),
        ("ÄRGER", "ärger", True),
        ("Cafe\u0301", "café", True),  # decomposed, like file names of macOS
        ("ИМЯ", "имя", True),
        ("東京😀", "京😀", True),
        ("a", "b", False),
    ],
)
def test_text_is_part_of_the_name(catalog, name, text, matches):
    catalog.begin([entry(1, name=name)])
    assert catalog.page(text=text).total == matches


def test_cursor_is_valid_in_its_own_order_only(catalog):
    catalog.begin([entry(n) for n in range(3)])
    cursor = catalog.page(limit=1, order="name").next
    assert catalog.page(order="name", after=cursor).entries[0].id == "id-00001"
    for options in ({}, {"order": "label"}, {"order": "name", "descending": True}):
        with pytest.raises(ConfigError, match="another listing"):
            catalog.page(after=cursor, **options)
    with pytest.raises(ConfigError, match="another listing"):
        catalog.jobs(after=cursor)


def test_broken_cursor_raises(catalog):
    catalog.begin([entry(n) for n in range(3)])
    whole = catalog.page(limit=1).next
    changed = [whole[:n] + ("A" if whole[n] != "A" else "B") + whole[n + 1 :] for n in range(12)]
    plain = base64.urlsafe_b64encode(json.dumps(["created up", 1]).encode()).decode()
    for word in (
        *changed,
        whole[:-1],
        whole + "A",
        whole + "!",
        "",
        "é",
        "\0",
        "a",
        plain,
        "=" * 9,
    ):
        with pytest.raises(ConfigError, match="cursor is damaged"):
            catalog.page(after=word)


@pytest.mark.parametrize(
    "values",
    [(), ("x",), ("x", "id"), (1, "id"), ("2026-01-01", "id"), ("9999-12-31T23:59:59-23:59", 7)],
)
def test_forged_cursor_raises(tmp_path, values):
    with Catalog(str(tmp_path / "c.db")) as catalog:
        with pytest.raises(ConfigError, match="cursor"):
            catalog.page(after=encode("created up", *values))
        for size in ("1", 2**63, True, 1.5):
            with pytest.raises(ConfigError, match="cursor"):
                catalog.page(order="size", after=encode("size up", size, "id"))
        for name in ("\0", "\ud800", 1):
            with pytest.raises(ConfigError, match="cursor"):
                catalog.page(order="name", after=encode("name up", name, "id"))


@pytest.mark.parametrize(
    "options",
    [
        {"limit": 0},
        {"limit": 1001},
        {"order": "a b"},
        {"state": "gone"},
        {"text": "\0"},
        {"label": "\ud800"},
        {"created_after": NOON.replace(tzinfo=None)},
    ],
)
def test_invalid_listing_options_raise(tmp_path, options):
    with Catalog(str(tmp_path / "c.db")) as catalog, pytest.raises(ConfigError):
        catalog.page(**options)

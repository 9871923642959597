"""Plans of syncs, and when they must be confirmed; all values are worked out by hand."""

import unicodedata

import pytest

from imgsearch.library.sync_plan import Listing, Plan, below, reasons


def plan(before, after, removed):
    result = Plan.of(before, after, removed)
    counts = (result.added, result.changed, len(result.renames), result.unchanged)
    return (*counts, dict(result.deleted))


@pytest.mark.parametrize(
    ("before", "after", "removed", "expected"),
    [
        ({}, {"/a": "X", "/b": "X", "/c": "Y"}, [], (2, 0, 0, 1, {})),
        ({"/a": "X"}, {"/a": "X"}, [], (0, 0, 0, 1, {})),
        ({"/a": "X"}, {"/a": "Y"}, [], (0, 1, 0, 0, {})),
        ({"/a": "X"}, {}, ["/a"], (0, 0, 0, 0, {"X": ["/a"]})),
        ({"/a": "X"}, {"/b": "X"}, ["/a"], (0, 0, 1, 0, {})),
        # a copy beside it: one file has the image's new place, the other one repeats it
        ({"/a": "X"}, {"/b": "X", "/c": "X"}, ["/a"], (0, 0, 1, 1, {})),
        # one of two equal files was deleted
        ({"/a": "X", "/b": "X"}, {"/b": "X"}, ["/a"], (0, 0, 0, 1, {})),
        ({"/a": "X", "/else/b": "X"}, {}, ["/a"], (0, 0, 0, 0, {})),
        # a file was moved over another one
        ({"/a": "X", "/b": "Y"}, {"/b": "X"}, ["/a"], (0, 1, 0, 0, {})),
        # a file was moved, and another one written in its place
        ({"/a": "X"}, {"/a": "Y", "/b": "X"}, [], (0, 1, 1, 0, {})),
        # two files were exchanged
        ({"/a": "X", "/b": "Y"}, {"/a": "Y", "/b": "X"}, [], (0, 2, 0, 0, {})),
        # a file that cannot be read keeps its image
        ({"/a": "X", "/b": "X"}, {}, ["/a"], (0, 0, 0, 0, {})),
    ],
)
def test_each_file_has_one_outcome(before, after, removed, expected):
    assert plan(before, after, removed) == expected


def test_each_file_has_an_image_of_its_own_in_an_archive():
    before = {"/a": "X", "/b": "X", "/c": "Y"}
    after = {"/d": "X", "/e": "X", "/f": "X", "/c": "Z"}
    plan = Plan.of_references(before, after, ["/a", "/b"])
    assert (plan.added, plan.changed, plan.unchanged) == (1, 1, 0)
    assert (plan.renames, plan.lost_paths) == ({"/d": "/a", "/e": "/b"}, [])
    plan = Plan.of_references(before, {"/b": "X", "/c": "Y"}, ["/a"])
    assert (plan.unchanged, plan.deleted) == (2, {"X": ["/a"]})


def why(stored, number, *, folder="/fotos", **options):
    """Return the reasons if some of a folder's files do not exist any more."""
    before = {f"{folder}/{place}.jpg": str(place) for place in range(stored)}
    removed = list(before)[:number]
    labels = dict.fromkeys(path for path in before if path not in removed)
    listing = Listing([folder], options.pop("labels", labels), **options)
    return reasons(listing, before, Plan.of(before, {}, removed))


def test_more_than_ten_images_and_a_fifth_must_be_confirmed():
    assert why(20, 10) == ()
    assert why(20, 11) == ("11 of 20 images below /fotos would be removed",)
    assert why(100, 20) == ()
    assert why(100, 21) == ("21 of 100 images below /fotos would be removed",)


def test_replaced_images_count_like_removed_ones():
    before = {f"/fotos/{place}": str(place) for place in range(20)}
    listing = Listing(["/fotos"], dict.fromkeys(before))

    def why(after, removed=(), unread=()):
        plan = Plan.of(before, before | after, removed)
        assert Plan.of_references(before, before | after, removed).replaced == plan.replaced
        return reasons(listing, before, plan, unread)

    other = {f"/fotos/{place}": f"other {place}" for place in range(11)}
    assert why(dict(list(other.items())[:10])) == ()
    assert why(other) == ("11 of 20 images below /fotos would be replaced",)
    assert why({}, unread=other) == ("11 of 20 images below /fotos would be replaced",)
    # the contents exist at other paths
    assert why({f"/fotos/{place}": str(19 - place) for place in range(20)}) == ()
    assert why(other | {f"/fotos/new/{place}": str(place) for place in range(11)}) == ()
    before |= {"/fotos/20": "20"}
    assert why(dict(list(other.items())[:10]) | {"/fotos/20": "19"}) == (
        "11 of 21 images below /fotos would be replaced",
    )


def test_empty_missing_and_unlisted_folders_must_be_confirmed():
    assert why(1, 1) == ("/fotos has no images, and 1 of its images are stored",)
    assert why(3, 3, labels={"/other/1.jpg": None})[0].startswith("/fotos has no images")
    assert why(2, 2, missing=["/fotos"]) == (
        "/fotos does not exist, and 2 of its images are stored",
    )
    assert why(2, 0, unlisted=["/fotos"]) == (
        "/fotos cannot be listed, and 2 of its images are stored",
    )
    assert why(2, 0, unlisted=["/fotos/lost+found"]) == ()
    assert why(0, 0) == ()


def test_each_folder_is_judged_by_itself():
    before = {f"/a/{place}": f"a{place}" for place in range(1_000)} | {
        f"/b/{place}": f"b{place}" for place in range(12)
    }
    removed = [f"/b/{place}" for place in range(11)]
    listing = Listing(["/a", "/b"], dict.fromkeys(before.keys() - set(removed)))
    (reason,) = reasons(listing, before, Plan.of(before, {}, removed))
    assert reason == "11 of 12 images below /b would be removed"


def test_below_compares_whole_names_in_any_unicode_form():
    composed, apart = (unicodedata.normalize(form, "/é") for form in ("NFC", "NFD"))
    paths = [f"{composed}/1", f"{apart}/2", f"{composed}x/3", composed]
    assert below(composed, paths) == below(f"{apart}/", paths) == paths[:2]
    assert below("/", paths) == paths

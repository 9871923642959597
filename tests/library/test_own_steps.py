"""A user's own steps in the pipelines that a library runs."""

import sys
import threading
import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch import image_steps, op, query_steps
from imgsearch.errors import ConfigError, StepFailed
from imgsearch.images import decode
from imgsearch.images.sources import content_id
from imgsearch.library.own_steps import load_steps
from imgsearch.towhee.imports import towhee
from tests.pictures import picture, write


@pytest.fixture
def library():
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as opened:
        yield opened


def decoded():
    return image_steps().map(("data", "path"), "image", op("image_decode"))


def upper_half(image):
    return image[: len(image) // 2]


def rows(library):
    return {row.fields["path"]: row for row in library.collection.iterate()}


def test_own_crop_is_embedded_and_own_columns_become_fields(library, tmp_path):
    files = write(tmp_path / "cat", 3)
    steps = (
        decoded()
        .map("image", "image", upper_half)
        .map("image", ("caption", "height"), lambda image: ("half", np.int64(len(image))))
        .returning("caption", "height")
    )
    report = library.add(tmp_path, pipeline=steps)
    assert (report.added, report.failed) == (3, 0)
    stored = rows(library)
    for file in files:
        pixels = decode(file.read_bytes(), path=str(file))
        row = stored[str(file)]
        assert row.id == content_id(file.read_bytes())
        assert row.fields == {
            "path": str(file),
            "label": "cat",
            "caption": "half",
            "height": len(pixels) // 2,
        }
        np.testing.assert_allclose(row.vector, library.encode(upper_half(pixels)), atol=1e-6)


def test_error_of_a_step_is_a_line_of_the_report(library, tmp_path):
    good, bad = write(tmp_path, 2)
    (tmp_path / "z.png").write_bytes(b"no image")

    def caption(path):
        if path == str(bad):
            raise LookupError("no caption")
        return "ok"

    report = library.add(
        tmp_path, pipeline=decoded().map("path", "note", caption).returning("note")
    )
    assert (report.added, report.failed) == (1, 2)
    assert {(line.path, line.stage, line.error) for line in report.failures} == {
        (str(bad), "step", "StepFailed"),
        (str(tmp_path / "z.png"), "header", "FormatRefused"),
    }
    assert "LookupError: no caption" in str(report.failures)
    assert rows(library)[str(good)].fields["note"] == "ok"


def test_step_that_ends_towhees_run_fails_only_its_image(library, tmp_path):
    files = write(tmp_path, 9)

    def sums(images):
        if any((image == images[0]).all() and len(images) > 1 for image in images[1:]):
            raise AssertionError
        if any(image.tobytes() == decode(files[4].read_bytes()).tobytes() for image in images):
            raise ZeroDivisionError("in a window")
        return [int(image.sum()) for image in images]

    steps = (
        decoded()
        .window(("path", "label", "id", "image"), ("p", "l", "i", "m", "sums"), 4, 4, _carry(sums))
        .flat_map(("p", "l", "i", "m", "sums"), ("path", "label", "id", "image", "sum"), zip)
    )
    report = library.add(tmp_path, pipeline=steps.returning("sum"))
    assert (report.added, report.failed) == (8, 1)
    (line,) = report.failures
    assert (line.path, line.stage) == (str(files[4]), "step")
    assert "ZeroDivisionError: in a window" in line.reason


def _carry(function):
    return lambda *columns: (*columns, function(columns[-1]))


def test_filter_of_all_columns_leaves_images_out_and_the_report_says_so(library, tmp_path):
    files = write(tmp_path, 5)
    columns = ("path", "label", "id", "data")
    steps = image_steps().filter(columns, columns, "path", lambda path: path != str(files[3]))
    progress = []
    report = library.add(tmp_path, pipeline=steps, on_progress=progress.append)
    assert (report.added, report.ignored, report.failed) == (4, 1, 0)
    assert "1 image was left out by the pipeline" in report.notes
    assert progress[-1].done == progress[-1].found == 5
    assert progress[-1].decoded == progress[-1].embedded == 4
    assert str(files[3]) not in rows(library)
    none = image_steps().filter(columns, columns, "path", lambda path: False)
    again = library.add(tmp_path, pipeline=none)
    assert (again.added, again.skipped, again.ignored) == (0, 4, 1)


def test_own_vector_and_label_are_stored(library, tmp_path):
    (file,) = write(tmp_path / "cat", 1)
    dim = library.encoder.fingerprint.dim
    steps = (
        image_steps()
        .map("path", "vector", lambda path: np.eye(dim)[2])
        .map("label", "label", lambda label: f"big {label}")
    )
    assert library.add(tmp_path, pipeline=steps).added == 1
    again = library.add(tmp_path, pipeline=steps)
    assert (again.skipped, again.updated) == (1, 0)  # the folder's name does not replace the label
    row = rows(library)[str(file)]
    assert row.fields["label"] == "big cat"
    np.testing.assert_array_equal(row.vector, np.eye(dim, dtype=np.float32)[2])


def _give(value):
    return lambda _path: value


@pytest.mark.parametrize(
    ("value", "reason"),
    [([1, 2], "holds a list"), (None, "holds a NoneType"), (np.zeros(2), "holds a ndarray")],
)
def test_value_that_no_store_takes_is_a_failure(library, tmp_path, value, reason):
    write(tmp_path, 1)
    report = library.add(
        tmp_path, pipeline=image_steps().map("path", "own", _give(value)).returning("own")
    )
    assert (report.added, report.failed) == (0, 1)
    assert reason in report.failures[0].reason


COLUMNS = ("path", "label", "id", "data")


def _exit(path):
    sys.exit(3)


def _raise(path):
    raise ValueError("not \udcff UTF-8")


@pytest.mark.parametrize(
    ("steps", "reason"),
    [
        (image_steps().map("path", "own", _exit), "raised SystemExit: 3"),
        (image_steps().map("path", "own", _raise), "raised ValueError: not \\udcff UTF-8"),
        (image_steps().map("path", "path", _raise), "raised ValueError: not \\udcff UTF-8"),
        (image_steps().map("id", "id", _raise), "raised ValueError: not \\udcff UTF-8"),
        (image_steps().map("path", "path", _give(None)), "'path' holds a NoneType"),
        (image_steps().map("id", "id", _give("0" * 64)), "changed the column 'id'"),
        (image_steps().window_all(COLUMNS, COLUMNS, _exit), "raised TypeError: _exit() takes"),
        (
            image_steps().flat_map(COLUMNS, COLUMNS, lambda *row: [row, row]),
            "made 2 rows of the image",
        ),
        (
            image_steps().flat_map(COLUMNS, COLUMNS, lambda *row: (1 / 0 for _ in row)),
            "raised ZeroDivisionError: division by zero",
        ),
        (image_steps().map("path", "vector", _give([1, 2, 3])), "holds 3 numbers"),
        (image_steps().map("path", "vector", lambda _: np.full(722, 1e300)), "NaN or infinity"),
    ],
)
def test_unusable_result_of_a_step_fails_its_image_on_one_line(library, tmp_path, steps, reason):
    write(tmp_path, 2)
    report = library.add(tmp_path, pipeline=steps)
    assert (report.added, report.failed, report.ignored) == (0, 2, 0)
    assert all(reason in line.reason and "\n" not in line.reason for line in report.failures)


def test_exit_in_a_step_over_many_images_ends_towhees_run(library, tmp_path):
    write(tmp_path, 40)
    steps = image_steps().filter(COLUMNS, COLUMNS, "path", _exit)
    report = library.add(tmp_path, pipeline=steps)
    assert (report.added, report.failed) == (0, 40)
    assert "SystemExit: 3" in report.failures[0].reason
    with pytest.raises(StepFailed, match="SystemExit: 3"):
        library.search(picture(0), pipeline=query_steps().window_all("query", "query", _exit))


def test_vectors_of_two_lengths_do_not_mix(library, tmp_path):
    first, second, third = write(tmp_path, 3)
    dim = library.encoder.fingerprint.dim
    lengths = {str(first): dim // 2, str(second): dim, str(third): dim + dim // 2}
    steps = image_steps().map("path", "vector", lambda path: np.ones(lengths[path]))
    report = library.add(tmp_path, pipeline=steps)
    assert (report.added, report.failed) == (1, 2)
    assert {line.error for line in report.failures} == {"DimensionMismatch"}
    assert list(rows(library)) == [str(second)]


def test_filter_of_some_columns_is_refused_because_rows_would_be_mixed(library, tmp_path):
    first, *_ = write(tmp_path, 3)
    steps = image_steps().filter("path", "path", "path", lambda path: path != str(first))
    reason = "the rows of path do not belong to the rows of label, id, data: a filter"
    with pytest.raises(ConfigError, match=reason):
        library.add(tmp_path, pipeline=steps)
    image = decoded().filter(COLUMNS, COLUMNS, "path", lambda path: path != str(first))
    with pytest.raises(ConfigError, match="the rows of image do not belong"):
        library.add(tmp_path, pipeline=image)
    both = decoded().concat(image_steps().map("path", "note", lambda path: "x"))
    assert library.add(tmp_path, pipeline=both.returning("note")).added == 3


def test_broken_file_is_reported_by_its_own_error_after_any_step(library, tmp_path):
    write(tmp_path, 3)
    (tmp_path / "z.png").write_bytes(b"no image")
    columns = ("path", "label", "id", "image")
    calls = []

    def crop(path, label, id_, image):
        calls.append(path)
        return [(path, label, id_, image[::2])]

    for decode_step in (
        decoded(),
        image_steps().map("path", "image", towhee.ops.image_decode.cv2()),
    ):
        steps = decode_step.filter(columns, columns, "image", len).flat_map(columns, columns, crop)
        with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as other:
            report = other.add(tmp_path, pipeline=steps)
        assert (report.added, report.failed) == (3, 1)
        assert report.failures[0].error == "FormatRefused"
    assert len(calls) == 6


class Captioner:
    """Describes images with a model that cannot be copied."""

    def __init__(self):
        self.lock, self.calls = threading.Lock(), 0

    def __call__(self, *columns):
        with self.lock:
            self.calls += 1
        return columns


def test_methods_of_one_object_run_in_steps_of_every_kind(library, tmp_path):
    write(tmp_path, 2)
    captioner = Captioner()
    steps = image_steps().filter(COLUMNS, COLUMNS, "path", captioner.__call__)
    steps = steps.window(COLUMNS, COLUMNS, 4, 4, captioner).flat_map(COLUMNS, COLUMNS, zip)
    steps = steps.map("path", "own", captioner.__call__).map("own", "own", str)
    assert library.add(tmp_path, pipeline=steps.returning("own")).added == 2
    assert captioner.calls >= 5


def test_label_of_a_step_is_stored_like_any_label(library, tmp_path):
    write(tmp_path, 1)
    library.add(tmp_path, pipeline=image_steps().map("path", "label", _give("u\u0308\udcff")))
    (row,) = rows(library).values()
    assert row.fields["label"] == "ü\\udcff"


def test_steps_of_a_query_raise_one_typed_error(library, tmp_path):
    write(tmp_path, 1)
    library.add(tmp_path)
    for steps in (
        query_steps().map("query", "query", lambda query: 1 / 0),
        query_steps().window_all("query", "query", lambda queries: 1 / 0),
        query_steps().flat_map("query", "query", lambda query: (1 / 0 for _ in "a")),
    ):
        for search in (library.search, library.encode_query):
            with pytest.raises(StepFailed, match="raised ZeroDivisionError: division by zero$"):
                search(picture(0), pipeline=steps)
    with pytest.raises(ConfigError, match="sets the column 'search'"):
        library.search(picture(0), pipeline=query_steps().map("query", "search", len))


def test_query_steps_change_the_query(library, tmp_path):
    write(tmp_path, 4)
    library.add(tmp_path)
    steps = query_steps().map("query", "query", picture)
    whole = library.search(picture(2), k=2)
    assert library.search(2, k=2, pipeline=steps) == whole
    vector = query_steps().map("query", "vector", library.encode)
    assert [hit.id for hit in library.search(picture(2), k=2, pipeline=vector)] == [
        hit.id for hit in whole
    ]


def test_wrong_pipelines_are_refused_by_name(library, tmp_path):
    write(tmp_path, 1)
    closed = decoded().output("image")
    other = imgsearch.towhee.Pipeline.input("source")
    unset = image_steps().returning("caption")
    for pipeline, reason in (
        (closed, "pass an open one"),
        (other, "starts from source"),
        (unset, "no step sets this column"),
        (len, "pass an open one"),
    ):
        with pytest.raises(ConfigError, match=reason):
            library.add(tmp_path, pipeline=pipeline)
    assert not library.exists()


def test_steps_are_loaded_by_module_and_name(tmp_path, monkeypatch):
    (tmp_path / "own_steps_of_test.py").write_text(
        "import imgsearch\n"
        "images = imgsearch.image_steps()\n"
        "more = imgsearch.image_steps()\n"
        "queries = imgsearch.query_steps()\n"
        "closed = 7\n"
    )
    (tmp_path / "quitting_of_test.py").write_text("import sys\nsys.exit(0)\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    module = "own_steps_of_test"
    assert set(load_steps([f"{module}:images", f"{module}:queries"])) == {"image", "query"}
    for names, reason in (
        ([module], "MODULE:ATTRIBUTE"),
        ([f"{module}:gone"], "AttributeError"),
        (["no_such_module:x"], "ModuleNotFoundError"),
        ([f"{module}:closed"], "not an open pipeline"),
        (["quitting_of_test:steps"], "SystemExit: 0"),
        ([f"{module}:images", f"{module}:more"], "combine both"),
    ):
        with pytest.raises(ConfigError, match=reason):
            load_steps(names)


def test_steps_of_an_unknown_kind_are_refused(tmp_path):
    with pytest.raises(ConfigError, match="no steps 'images'"):
        imgsearch.open(tmp_path / "a.db", steps={"images": image_steps()})
    assert not (tmp_path / "a.db").exists()


def test_library_with_steps_uses_them_for_each_add_and_search(tmp_path):
    write(tmp_path, 2)
    steps = {
        "image": image_steps().map("path", "own", lambda path: "yes").returning("own"),
        "query": query_steps().map("query", "query", lambda query: picture(1)),
    }
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic", steps=steps) as library:
        assert library.add(tmp_path).added == 2
        assert library.search("anything", k=1)[0].fields["own"] == "yes"
        assert library.search("anything", k=1)[0].score == pytest.approx(1)

"""Hits as a list, as tables, and as pictures in a notebook."""

import base64
import re
import uuid

import pandas as pd
import pytest

import imgsearch
from imgsearch.library.hits import Hits
from imgsearch.types import Hit
from tests.pictures import write

HITS = Hits(
    [
        Hit("a", 0.9, 0.1, {"path": "/x/<b>.jpg", "label": "cat & dog", "year": 2019, "mixed": 1}),
        Hit("b", 0.8, 0.2, {"path": "/x/2.jpg", "stars": 4.5, "mixed": "two", "year": 2020.5}),
    ]
)


def test_hit_names_its_path_label_and_fields():
    first, second = HITS
    assert (first.path, first.label, first["year"]) == ("/x/<b>.jpg", "cat & dog", 2019)
    assert (second.label, Hit("c", 1, 0).path) == ("", "")
    with pytest.raises(KeyError):
        second["label"]


def test_slices_are_hits_and_equal_lists():
    assert type(HITS[:1]) is Hits
    assert HITS[:1] == [HITS[0]]
    assert list(HITS) == HITS


def test_table_has_a_column_for_each_field():
    table = HITS.to_arrow()
    assert table.to_pydict() == {
        "id": ["a", "b"],
        "score": [0.9, 0.8],
        "distance": [0.1, 0.2],
        "path": ["/x/<b>.jpg", "/x/2.jpg"],
        "label": ["cat & dog", None],
        "year": [2019.0, 2020.5],
        "mixed": ["1", "two"],
        "stars": [None, 4.5],
    }
    frame = HITS.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert list(frame.columns) == table.column_names
    assert Hits().to_arrow().num_rows == 0


def test_search_returns_hits_that_a_notebook_shows_as_pictures(tmp_path):
    files = write(tmp_path / "cat", 3)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(tmp_path)
        hits = library.search(files[0], k=3)
    files[2].unlink()
    html = hits._repr_html_()
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', html)
    assert len(pictures) == 2
    assert all(base64.b64decode(data).startswith(b"\xff\xd8") for data in pictures)
    assert "SourceError" in html
    assert "1.000 cat" in html
    assert hits.to_pandas()["label"].tolist() == ["cat"] * 3


def test_html_is_escaped_and_short():
    html = HITS._repr_html_()
    assert "<b>" not in html
    assert "cat &amp; dog" in html
    many = Hits(HITS * 40)
    assert "and 30 more" in many._repr_html_()
    assert Hits()._repr_html_() == "<p>no hits</p>"

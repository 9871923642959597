"""Every door into imgsearch runs the operators: each image and each query passes them."""

import sys
from functools import partial
from types import SimpleNamespace

import pytest
from click.testing import CliRunner

import imgsearch
from imgsearch.archive import Incoming, Jobs
from imgsearch.cli.main import cli
from imgsearch.towhee import registry
from tests.archive.place import archive
from tests.pictures import picture, write
from tests.service.running import running
from tests.service.topologies import plain

IMAGES = 5


@pytest.fixture
def counts(monkeypatch):
    """Replace three operators by counting ones; return the counts."""
    seen = {"image_embedding": 0, "vector_insert": 0, "query_embedding": 0, "vector_search": 0}

    def count(name, number):
        base = registry.load_operator(registry.operator_folders() / name)
        replaced = type(base.__name__, (base,), {"__call__": _counting(base, seen, name, number)})
        module = f"imgsearch._operators.{name}"
        monkeypatch.setitem(sys.modules, module, SimpleNamespace(**{name: replaced}))

    count("image_embedding", lambda chunks: sum(len(chunk.images) for chunk in chunks))
    count("vector_insert", lambda chunks, rows: sum(batch.num_rows for batch in rows))
    count("query_embedding", lambda query: 1)
    count("vector_search", lambda queries, searches: len(queries))
    return seen


def _counting(base, seen, name, number):
    def call(self, *columns):
        seen[name] += number(*columns)
        return base.__call__.__wrapped__(self, *columns)

    return call


def expect(counts, images, queries, searches=None):
    assert counts == {
        "image_embedding": images,
        "vector_insert": images,
        "query_embedding": queries if searches is None else searches,
        "vector_search": queries,
    }
    counts.update(dict.fromkeys(counts, 0))


def test_library(counts, tmp_path):
    write(tmp_path / "cat", IMAGES)
    with imgsearch.open(tmp_path / "a.db", model="classic") as library:
        assert library.add(tmp_path / "cat").added == IMAGES
        library.search(picture(0))
        library.search(library.encode(picture(0)), hide_duplicates=0.9)
    expect(counts, IMAGES, 2, searches=3)


def test_command_line(counts, tmp_path):
    (file, *_) = write(tmp_path / "cat", IMAGES)
    place = ["--db", str(tmp_path / "a.db")]
    run = partial(CliRunner().invoke, cli, catch_exceptions=False)
    assert run(["add", str(tmp_path / "cat"), "--model", "classic", *place]).exit_code == 0
    assert run(["search", str(file), *place]).exit_code == 0
    expect(counts, IMAGES, 1)


def test_archive_job(counts, tmp_path):
    write(tmp_path / "cat", IMAGES)
    with archive(tmp_path / "data", roots=(tmp_path,)) as opened:
        jobs = Jobs(opened)
        job = jobs.start_folder(str(tmp_path / "cat"))
        assert [*jobs.watch(job.id)][-1].inserted == IMAGES
        jobs.close()
    expect(counts, IMAGES, 0)


@pytest.mark.torch  # Gradio
def test_page(counts, tmp_path):
    from imgsearch.ui.add_tab import progress_of_add
    from imgsearch.ui.query import SearchRequest, find

    with archive(tmp_path / "data") as opened:
        items = [Incoming(f"{n}.png", data=file.read_bytes()) for n, file in _more(tmp_path)]
        (*_, last) = progress_of_add(partial(opened.add, items))
        assert last.added == 2
        (hit, *_) = find(opened, SearchRequest("images", picture=str(_more(tmp_path)[0][1])))
        assert hit.entry.name == "0.png"
        find(opened, SearchRequest("images", like=hit.entry.id))
    expect(counts, 2, 2)


def _more(folder):
    return list(enumerate(write(folder / "more", 2, start=20)))


def test_service(counts, tmp_path):
    files = write(tmp_path / "cat", IMAGES)
    with running(plain(tmp_path / "store"), tmp_path / "data", roots=(tmp_path,)) as service:
        counts.update(dict.fromkeys(counts, 0))  # the service warms up
        with imgsearch.Client(service.url, service.secrets["admin"]) as client:
            assert client.add(tmp_path / "cat").added == IMAGES
            job = client.add_folder(str(tmp_path / "cat"))
            assert job.wait(timeout=60).inserted == IMAGES
            hits = client.search(files[0])
            client.more_like(hits[0].id)
    expect(counts, IMAGES, 2, searches=3)

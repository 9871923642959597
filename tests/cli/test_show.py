"""Standard output outside a terminal: whole lines, and paths with their exact bytes."""

import os
import shutil
import subprocess
import sys
import uuid

import pytest

import imgsearch
from tests.pictures import write

LONG = "ein recht langer Name " * 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    place = tmp_path_factory.mktemp("lang") / LONG / LONG
    write(place, 2)
    return place


@pytest.fixture(scope="module")
def db(folder):
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url, model="classic") as library:
        library.add(folder)
        yield url


def test_piped_table_has_tabs_and_whole_paths(run, folder, db):
    done = run("search", folder / "bild-ü 0001.png", "--db", db)
    header, *rows = done.stdout.splitlines()
    assert header.split("\t") == ["rank", "score", "label", "path"]
    assert [row.split("\t")[3] for row in rows] == [
        str(folder / "bild-ü 0001.png"),
        str(folder / "bild-ü 0000.png"),
    ]
    assert rows[0].split("\t")[:3] == ["1", "1.0000", ""]


def test_facts_have_no_header(run, db):
    first, *_ = run("info", "--db", db).stdout.splitlines()
    assert first == f"url\t{db}"


def test_paths_option_prints_one_path_a_line(run, folder, db):
    paths = [str(folder / "bild-ü 0001.png"), str(folder / "bild-ü 0000.png")]
    for option in ("-f", "--paths"):
        assert run("search", paths[0], "--db", db, option).stdout.splitlines() == paths
    for option in ("-0", "--print0"):
        assert run("search", paths[0], "--db", db, option).stdout.split("\0") == [*paths, ""]


def test_paths_and_json_exclude_each_other(run, db):
    done = run("search", "x", "--db", db, "--paths", "--json")
    assert done.exit_code == 2
    assert "exclude each other" in done.stderr


def test_empty_result_is_a_message_on_standard_error(run, folder, db):
    query = folder / "bild-ü 0001.png"
    done = run("search", query, "--db", db, "--paths", "--offset", 5)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "No images found\n")


def test_undecodable_name_is_printed_as_its_bytes(run, tmp_path):
    (file,) = write(tmp_path / "bilder", 1)
    name = os.fsencode(tmp_path / "bilder") + b"/\xff\n.png"
    shutil.move(file, name)
    url = f"memory://{uuid.uuid4().hex}"
    (query,) = write(tmp_path / "frage", 1, start=1)
    with imgsearch.open(url, model="classic") as library:
        library.add(tmp_path / "bilder")
        done = run("search", query, "--db", url, "--print0")
    assert done.stdout_bytes == name + b"\0"


def test_no_color_leaves_no_escapes_on_a_terminal(tmp_path):
    pty = pytest.importorskip("pty")
    code = (
        "from imgsearch.cli import show; "
        "show.table(('a', 'b'), [('1', 'x' * 90)]); show.note('Anmerkung')"
    )
    outer, inner = pty.openpty()
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdout=inner,
        stderr=inner,
        env={"NO_COLOR": "1", "TERM": "xterm", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    os.close(inner)
    text = os.read(outer, 10_000)
    os.close(outer)
    assert done.returncode == 0
    assert not [part for part in text.split(b"\x1b[")[1:] if part[:2] in {b"3", b"9", b"38"}]
    assert b"Anmerkung" in text

"""Two processes with one embedded store: a search reads, and other commands wait."""

import subprocess
import sys

import pytest

import imgsearch
from tests.pictures import write

pytestmark = pytest.mark.process

HOLDER = """
import sys
import imgsearch

with imgsearch.open("ü.db", model="classic") as library:
    library.add("bilder/a.png")
    print("open", flush=True)
    sys.stdin.readline()
    library.add("bilder")
"""


@pytest.fixture
def holder(tmp_path):
    """Yield a process that has a store with one image open, and later adds two."""
    write(tmp_path / "bilder", 2)
    write(tmp_path / "from", 1, start=2)[0].rename(tmp_path / "bilder/a.png")
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "open\n"
    yield process
    process.kill()
    process.communicate()


def test_search_reads_while_another_process_writes(run, holder, tmp_path):
    done = run("search", "bilder/a.png", "--db", "ü.db", "-f")
    assert (done.exit_code, done.stdout.split()) == (0, [str(tmp_path / "bilder/a.png")])
    assert "is open in another process; reading what it has written so far" in done.stderr
    holder.communicate("\n")
    with imgsearch.open(tmp_path / "ü.db") as library:  # the search has changed nothing
        assert library.count() == 3


def test_other_commands_wait_until_the_store_is_closed(run, holder, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_TIMEOUT", "0.5")
    refused = run("remove", "bilder/a.png", "--db", "ü.db")
    assert refused.exit_code == 1
    assert "ü.db is open in another process; waiting until it is closed" in refused.stderr
    assert "Error: " in refused.stderr
    monkeypatch.setenv("IMGSEARCH_TIMEOUT", "60")
    holder.stdin.write("\n")
    holder.stdin.flush()
    done = run("remove", "bilder/a.png", "--db", "ü.db")
    assert (done.exit_code, "Removed 1 image" in done.stderr) == (0, True)

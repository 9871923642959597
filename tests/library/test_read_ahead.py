"""Loads and migrations read several files at once."""

import http.server
import threading

import pytest

import imgsearch
from imgsearch.library.migration import MigrationOptions, recipe_of
from imgsearch.library.stored_files import StoredFiles
from tests.pictures import write

WAIT = 30  # seconds; a barrier breaks then, and the reads fail


@pytest.fixture
def site(tmp_path):
    """Serve four pictures, each pair only while two requests are underway; return their URLs."""
    files = write(tmp_path / "fotos", 4)
    both = threading.Barrier(2, timeout=WAIT)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            both.wait()
            data = files[int(self.path[1:-4])].read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield [f"http://127.0.0.1:{server.server_port}/{n}.png" for n in range(4)]
        server.shutdown()
        thread.join()


def test_add_downloads_images_at_the_same_time(site):
    with imgsearch.open("memory://reading-urls", model="classic") as library:
        report = library.add(site, url_hosts=["127.0.0.0/8"])
        assert (report.added, report.failed) == (4, 0)


class InPairs(StoredFiles):
    """Reads a file only while another one is read."""

    def __init__(self):
        self.both = threading.Barrier(2, timeout=WAIT)

    def read(self, record):
        self.both.wait()
        return super().read(record)


def test_migration_reads_files_at_the_same_time(tmp_path):
    files = write(tmp_path / "fotos", 4)
    with imgsearch.open("memory://reading-files", model="classic") as library:
        library.add(*files)
        migration = library.migration(files=InPairs())
        report = migration.run(recipe_of("lite"), MigrationOptions(switch=True))
        assert (report.load.added, report.missing, report.switched) == (4, 0, True)

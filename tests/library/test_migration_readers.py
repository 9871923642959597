"""Migrations on servers: a reader in another process follows, and a killed one goes on."""

import os
import signal
import subprocess
import sys
import textwrap

import imgsearch
from imgsearch.backends import connect, notes, versions
from tests.pictures import write

READER = textwrap.dedent("""
    import os, sys
    import imgsearch

    url, collection, image = sys.argv[1:]
    token = os.environ.get("IMGSEARCH_TEST_TOKEN")
    with imgsearch.open(url, collection=collection, token=token) as library:
        while library.model == "classic":
            assert library.search(image, k=1)[0].fields["path"] == image
            print(library.model, flush=True)
        assert library.search(image, k=1)[0].fields["path"] == image
        print(library.model, flush=True)
""")


def test_reader_in_another_process_follows(bench, tmp_path):
    if not bench.store.capabilities.shared:
        return  # no second process can open the store
    files, name = write(tmp_path / "bilder", 3), bench.new_name()
    place = {"collection": name, "token": bench.token}
    with imgsearch.open(bench.url, model="classic", **place) as library:
        library.add(*files)
        words = [sys.executable, "-c", READER, bench.url, name, str(files[1])]
        environment = {**os.environ, "IMGSEARCH_TEST_TOKEN": bench.token or ""}  # noqa: TID251
        with subprocess.Popen(
            words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        ) as reader:
            assert reader.stdout.readline() == "classic\n"
            assert library.migrate("lite", switch=True).switched
            output, errors = reader.communicate(timeout=60)  # it ends when it has followed
        assert reader.returncode == 0, errors
        assert output.splitlines()[-1] == "lite"
    with connect(bench.url, token=bench.token) as store:
        versions.drop(store, name)
        store.drop(notes.NAME)


KILLED = textwrap.dedent("""
    import os, signal, sys
    import imgsearch
    from imgsearch.backends import notes
    from imgsearch.backends.collection import Collection

    url, collection = sys.argv[1:]
    write = Collection.upsert

    def upsert(self, records, **options):
        write(self, records, **options)
        if self.name == notes.NAME:  # the switch, before it is flushed
            os.kill(os.getpid(), signal.SIGKILL)

    Collection.upsert = upsert
    token = os.environ.get("IMGSEARCH_TEST_TOKEN")
    with imgsearch.open(url, collection=collection, token=token) as library:
        library.migrate("lite", switch=True)
""")


def test_migration_killed_at_the_switch_goes_on(bench, tmp_path):
    if not bench.store.capabilities.shared:
        return  # test_migration_kills.py has the embedded store
    files, name = write(tmp_path / "bilder", 3), bench.new_name()
    place = {"collection": name, "token": bench.token}
    with imgsearch.open(bench.url, model="classic", **place) as library:
        library.add(*files)
        library.migrate("lite")
    words = [sys.executable, "-c", KILLED, bench.url, name]
    environment = {**os.environ, "IMGSEARCH_TEST_TOKEN": bench.token or ""}  # noqa: TID251
    done = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == -signal.SIGKILL, done.stderr
    with imgsearch.open(bench.url, **place) as library:
        assert library.search(files[1], k=1)[0].fields["path"] == str(files[1])
        report = library.migrate("lite", switch=True)
        assert (report.switched, library.model) == (True, "lite")
        # once in some runs Milvus 2.3.5 embedded all images again, which changes nothing
        assert report.load.added in (0, 3)
        assert library.count() == 3
        assert library.migration().drop_former() == 1
    with connect(bench.url, token=bench.token) as store:
        versions.drop(store, name)
        store.drop(notes.NAME)

"""Sources in buckets of a real S3 service, and lists by http."""

import gzip
import io
import itertools
import threading
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pyarrow as pa
import pytest
from pyarrow import fs, parquet

import imgsearch
from imgsearch.errors import ConfigError, ImgSearchError, SourceError
from imgsearch.images import inputs, web_images
from imgsearch.images.buckets import BucketUrl
from imgsearch.images.files import content_id
from imgsearch.images.reading import Reading
from imgsearch.images.sources import read
from tests.images.test_tar_shards import shard
from tests.pictures import write
from tests.services.swift_server import KEY

HOSTS = ["127.0.0.1"]
_numbers = itertools.count()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return [file.read_bytes() for file in write(tmp_path_factory.mktemp("fotos"), 5)]


@pytest.fixture(scope="module")
def system(servers, place_of):
    endpoint, secret = place_of("swift")
    key = dict(zip(("access_key", "secret_key"), (KEY, secret), strict=True))
    return endpoint, secret, fs.S3FileSystem(
        scheme="http", endpoint_override=endpoint[7:], region="us-east-1",
        allow_bucket_creation=True, **key,
    )  # fmt: skip


@pytest.fixture
def bucket(system, monkeypatch):
    """Return a function that puts objects into a new bucket, and returns a URL in it."""
    endpoint, secret, files = system
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
    name = f"quellen-{next(_numbers)}"

    def bucket(objects, key=""):
        files.create_dir(name)
        for path, data in objects.items():
            with files.open_output_stream(f"{name}/{path}") as stream:
                stream.write(data)
        return f"s3://{name}/{key}?endpoint={endpoint}&region=us-east-1"

    return bucket


@contextmanager
def serving(folder):
    """Serve a folder by http; yield its URL."""

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=folder))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def paths(source, **options):
    """Return the paths of a source without the query, after the bucket."""
    images = inputs.references(source, Reading(url_hosts=HOSTS, **options))
    return [image.path.partition("?")[0].split("/", 3)[3] for image in images]


def test_objects_below_a_prefix_are_added_with_labels(bucket, photos):
    url = bucket({
        "fotos/b.png": photos[0], "fotos/größe/a b%#?.png": photos[1],
        "fotos/größe/c.PNG": photos[1],
        "fotos/notes.txt": b"text", "fotos/.hidden.png": photos[2], "fotos/raw/d.png": photos[3],
        "other/e.png": photos[4], "fotos/broken.png": b"no image",
    }, "fotos")  # fmt: skip
    with imgsearch.open("memory://bucket", model="classic") as library:
        report = library.add(url, url_hosts=HOSTS, exclude=["raw/"])
        assert (report.added, report.skipped, report.failed) == (2, 1, 1)
        records = {record.fields["label"]: record for record in library.collection.iterate()}
    assert records["größe"].id == content_id(photos[1])
    query = url.partition("?")[2]
    assert records["größe"].fields["path"] == (
        url.partition("?")[0] + "/größe/a b%25%23%3F.png?" + query
    )
    assert records[""].id == content_id(photos[0])
    assert report.failures[0].path.endswith(f"/fotos/broken.png?{query}")


def test_an_unreadable_object_is_a_failure(bucket, photos):
    url = bucket({"a.png": photos[0], "b.png": photos[1]})
    missing = url.replace("/?", "/missing.png?")
    with imgsearch.open("memory://bucket-missing", model="classic") as library:
        report = library.add([url.replace("/?", "/a.png?")], url_hosts=HOSTS)
        assert report.added == 1
        with pytest.raises(SourceError, match=r"missing.png.*: no such object or prefix"):
            library.add(missing, url_hosts=HOSTS)
    fetch = web_images.fetcher(HOSTS)
    with pytest.raises(SourceError, match="no such object or bucket"):
        read(missing, fetch=fetch)
    assert read(url.replace("/?", "/b.png?"), fetch=fetch) == photos[1]


def test_lists_and_parquet_in_a_bucket_name_objects_beside_them(bucket, photos):
    table = pa.table({"image": [{"bytes": photos[3], "path": None}], "label": ["hund"]})
    buffer = io.BytesIO()
    parquet.write_table(table, buffer)
    rows = "path,label\nbilder/a.png,katze\n./bilder/b.png,\n/etc/c.png,\n../../d.png,\n"
    url = bucket({
        "l/list.csv": rows.encode(), "l/bilder/a.png": photos[0], "l/bilder/b.png": photos[1],
        "l/0.parquet": buffer.getvalue(),
    })  # fmt: skip
    with imgsearch.open("memory://bucket-lists", model="classic") as library:
        report = library.add(url.replace("/?", "/l/list.csv?"), url_hosts=HOSTS)
        assert (report.added, report.failed) == (2, 2)
        assert "paths below its own folder" in report.failures[0].reason
        report = library.add(url.replace("/?", "/l/*.parquet?"), url_hosts=HOSTS)
        assert (report.added, report.failed) == (1, 0)
        records = library.collection.get([content_id(photos[3]), content_id(photos[0])])
    assert [record.fields["label"] for record in records.values()] == ["hund", "katze"]
    assert records[content_id(photos[3])].fields["path"].endswith("#row=1")


def test_splits_are_no_labels_and_patterns_match_within_a_folder(bucket, photos):
    url = bucket({
        f"{split}/{label}/{n}.png": photos[n]
        for n, (split, label) in enumerate([("train", "a"), ("train", "b"), ("val", "a")])
    })  # fmt: skip
    images = list(inputs.references(url, Reading(url_hosts=HOSTS)))
    assert [image.label for image in images] == ["a", "b", "a"]
    assert paths(url.replace("/?", "/train/*/*.png?")) == ["train/a/0.png", "train/b/1.png"]
    assert paths(url.replace("/?", "/[tv]*/a/*.png?")) == ["train/a/0.png", "val/a/2.png"]


def test_a_job_embeds_objects(bucket, photos, tmp_path):
    url = bucket({f"{n}.png": photo for n, photo in enumerate(photos)})
    job = imgsearch.embed(url, to=tmp_path / "job", model="classic", url_hosts=HOSTS, shard=2)
    assert (job.report.added, job.report.failed, len(job.shards())) == (5, 0, 3)
    with imgsearch.open("memory://bucket-job", model="classic") as library:
        library.add(url, url_hosts=HOSTS)
        added = {row.id: row.fields["path"] for row in library.collection.iterate()}
    rows = pa.Table.from_batches(job.vectors(["id", "path"])).to_pylist()
    assert {row["id"]: row["path"] for row in rows} == added


def test_an_endpoint_must_be_public_or_allowed_and_urls_may_be_off(bucket, photos):
    url = bucket({"a.png": photos[0]})
    with pytest.raises(SourceError, match="endpoint 127.0.0.1 has no public address"):
        inputs.references(url, Reading(url_hosts=()))
    with pytest.raises(SourceError, match="not fetched here"):
        inputs.references(url, Reading(url_hosts=None))
    # a cell of a list is checked as well
    with pytest.raises(SourceError, match="no public address"):
        read(url.replace("/?", "/a.png?"), fetch=web_images.fetcher(()))


def test_wrong_keys_fail_without_a_secret_in_the_message(bucket, photos, monkeypatch):
    url = bucket({"a.png": photos[0]}).replace("us-east-1", "eu-west-3")  # a new connection
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "geheim-123")
    with pytest.raises(SourceError) as error:
        list(inputs.references(url, Reading(url_hosts=HOSTS)))
    assert "cannot be read" in str(error.value)
    assert "geheim" not in str(error.value)


@pytest.mark.parametrize(
    "url",
    ["s3://key:geheim@bucket/a.png", "s3://bucket/a.png?secret=geheim", "s3://bucket/a#geheim",
     "s3://bucket/a%00geheim", "gs://B/geheim", "s3://bucket/a?endpoint=http://u:geheim@h"],
)  # fmt: skip
def test_urls_with_secrets_or_in_another_form_are_refused(url):
    with pytest.raises(ConfigError) as error:
        BucketUrl.parse(url)
    assert "geheim" not in str(error.value).replace("option 'secret'", "")
    with pytest.raises(ImgSearchError):
        read(url, fetch=web_images.fetcher(()))


def test_bucket_urls_have_one_form():
    url = BucketUrl.parse(
        "GS://bucket/größe/a b%25%23%3f\u00a0.jpg?endpoint=https://h:1&anonymous=1"
    )
    assert (url.scheme, url.key, url.anonymous) == ("gs", "größe/a b%#?\u00a0.jpg", True)
    assert str(url) == "gs://bucket/größe/a b%25%23%3F%C2%A0.jpg?endpoint=https://h:1&anonymous=1"
    assert BucketUrl.parse(str(url)) == url


def test_tars_in_a_bucket_and_by_http_are_streamed(bucket, photos, tmp_path):
    plain = shard(tmp_path / "0.tar", [("0.png", photos[0]), ("0.cls", b"katze")])
    other = shard(tmp_path / "1.tar", [("a.png", photos[1]), ("b.png", photos[2])])
    packed = gzip.compress(other.read_bytes())
    url = bucket({"t/0.tar": plain.read_bytes(), "t/1.tar.gz": packed, "t/2.png": photos[3]})
    tars = [url.replace("/?", f"/t/*{suffix}?") for suffix in (".tar", ".tar.gz")]
    job = imgsearch.embed(*tars, to=tmp_path / "job", model="classic", url_hosts=HOSTS)
    assert (job.report.added, job.report.failed) == (3, 0)
    assert [job.count(shard) for shard in job.shards()] == [1, 2]  # a tar is a shard
    rows = pa.Table.from_batches(job.vectors(["id", "path", "label"])).to_pylist()
    assert rows[0]["id"] == content_id(photos[0])
    assert rows[0]["label"] == "katze"
    assert rows[0]["path"].endswith("us-east-1#file=0.png")
    (tmp_path / "1.tgz").write_bytes(packed)
    (tmp_path / "list.csv").write_text("path\n1.png\n/etc/passwd.png\nfotos/ü.png\n")
    (tmp_path / "1.png").write_bytes(photos[3])
    (tmp_path / "fotos").mkdir()
    (tmp_path / "fotos" / "ü.png").write_bytes(photos[4])
    with (
        serving(tmp_path) as host,
        imgsearch.open("memory://http-tar", model="classic") as library,
    ):
        with pytest.raises(SourceError, match="no public address"):
            library.add(f"{host}/1.tgz")
        assert library.add(f"{host}/1.tgz", url_hosts=HOSTS).added == 2
        assert library.add(f"{host}/0.tar?x=1", url_hosts=HOSTS).added == 1
        report = library.add(f"{host}/list.csv", url_hosts=HOSTS)
        assert (report.added, report.failed) == (2, 1)
        paths = {row.fields["path"] for row in library.collection.iterate()}
    assert f"{host}/0.tar?x=1#file=0.png" in paths
    assert f"{host}/fotos/%C3%BC.png" in paths

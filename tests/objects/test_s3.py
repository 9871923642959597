"""A bucket is private, links grant access for a limited time, and errors state the cause."""

import hashlib
import re
import socket
import time
import traceback
import urllib.error
import urllib.request
from urllib.parse import unquote

import pytest

from imgsearch.errors import ConfigError, MissingExtra, ObjectNotFound, ObjectStoreError
from imgsearch.objects import connect
from tests.objects.shelf import jpeg

DEADLINE = 60  # seconds, on a busy machine


def anonymous_get(url):
    """Request a URL without credentials; return status, body and headers."""
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE) as answer:  # noqa: S310  # loopback
            return answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(), error.headers


@pytest.fixture(scope="module")
def store(new_place):
    """Return a shared store, because opening takes 0.2 s. Tests put different originals into it."""
    url, keys = new_place()
    with connect(url + "&create=1", **keys) as store:
        yield store


@pytest.fixture
def client(place):
    """Return a plain S3 client, as used by other programs."""
    import boto3

    url, keys = place
    client = boto3.client(
        "s3", endpoint_url=endpoint_of(url), region_name="us-east-1",
        aws_access_key_id=keys["key"], aws_secret_access_key=keys["secret"],
    )  # fmt: skip
    yield client
    client.close()


def endpoint_of(url):
    return re.search(r"endpoint=([^&]+)", url)[1]


def anonymous_listings(bucket):
    """Yield the URLs that list a bucket, with the response to a request without credentials."""
    # Swift accepts only signed S3 requests; in its own protocol the bucket has another path
    own = bucket.rpartition("/")
    for base in (bucket, f"{own[0]}/v1/AUTH_admin/{own[2]}"):
        for query in ("", "?list-type=2", "?prefix=", "?format=json", "?acl"):
            yield base + query, anonymous_get(base + query)


def test_requests_without_credentials_cannot_read_or_list(store, client):
    content, data = jpeg(1)
    store.put(content, data, "image/jpeg")
    endpoint = endpoint_of(store.url)
    for url, (status, body, _) in anonymous_listings(f"{endpoint}/bilder"):
        assert status in {400, 401, 403, 412}, url  # 412: Swift's status for an invalid path
        assert content.encode() not in body
    plain = store.link(content, 60).partition("?")[0]
    for url in (plain, plain.replace(endpoint, f"{endpoint}/v1/AUTH_admin")):
        status, body, _ = anonymous_get(url)
        assert status in {400, 401, 403}, url
        assert data not in body
    key = plain.partition("/bilder/")[2]
    for grants in (
        client.get_bucket_acl(Bucket="bilder"),
        client.get_object_acl(Bucket="bilder", Key=unquote(key)),
    ):
        owner = grants["Owner"]["ID"]
        assert [grant["Grantee"]["ID"] for grant in grants["Grants"]] == [owner]


def test_link_grants_access_to_an_original(store):
    content, data = jpeg(2)
    store.put(content, data, "image/jpeg")
    status, body, headers = anonymous_get(store.link(content, 60, name='Größe "1"\r\n/日本.jpg'))
    assert (status, body) == (200, data)
    assert headers["Content-Type"] == "image/jpeg"
    # RFC 6266, RFC 8187: ö is C3 B6, ß C3 9F, 日 E6 97 A5, 本 E6 9C AC
    assert headers["Content-Disposition"] == (
        'inline; filename="Gr__e 1__.jpg"; '
        "filename*=UTF-8''Gr%C3%B6%C3%9Fe%201%E6%97%A5%E6%9C%AC.jpg"
    )
    _, _, headers = anonymous_get(store.link(content, 60, media_type="image/png"))
    assert headers["Content-Type"] == "image/png"


def test_link_is_valid_for_one_original_only(store):
    (content, data), (other, hidden) = jpeg(3), jpeg(4)
    store.put(content, data, "image/jpeg")
    store.put(other, hidden, "image/jpeg")
    link = store.link(content, 60)
    for forged in (
        link.replace(content, other),
        link.replace("X-Amz-Expires=60", "X-Amz-Expires=6000"),
        link + "&response-content-type=text/html",
    ):
        status, body, _ = anonymous_get(forged)
        assert (status, hidden in body) == (403, False)


def test_link_expires(store):
    content, data = jpeg(5)
    store.put(content, data, "image/jpeg")
    link = store.link(content, 2)
    end = time.monotonic() + DEADLINE
    assert anonymous_get(link)[0] == 200
    while (status := anonymous_get(link)[0]) == 200:
        assert time.monotonic() < end
    assert status == 403


def test_links_use_the_public_endpoint(place):
    url, keys = place
    public = endpoint_of(url).replace("127.0.0.1", "localhost")
    content, data = jpeg(1)
    with connect(f"{url}&create=1&public={public}", **keys) as store:
        store.put(content, data, "image/jpeg")
        link = store.link(content, 60)
    assert link.startswith(f"{public}/bilder/")
    assert anonymous_get(link)[:2] == (200, data)


def test_wrong_credentials_raise_without_showing_the_secret(place):
    url, keys = place
    for wrong in ({**keys, "secret": "geheim-ü"}, {"key": "x:y", "secret": keys["secret"]}):
        with pytest.raises(ObjectStoreError, match="the access key or its secret is wrong") as got:
            connect(url + "&create=1", **wrong)
        trace = "".join(traceback.format_exception(got.value))
        assert wrong["secret"] not in trace


def test_missing_bucket_raises_unless_it_may_be_created(place, client):
    url, keys = place
    url = url.replace("s3://bilder", f"s3://neu-{hashlib.sha256(url.encode()).hexdigest()[:20]}")
    with pytest.raises(ObjectStoreError, match="does not exist. .*create=1"):
        connect(url, **keys)
    for _ in range(2):
        with connect(url + "&create=1", **keys) as store:
            assert list(store.contents()) == []
            assert "create" not in store.url
    bucket = endpoint_of(url) + "/" + re.match("s3://([^/]+)", url)[1]
    assert {status for _, (status, _, _) in anonymous_listings(bucket)} <= {401, 403, 412}
    with connect(url, **keys) as store:
        store.ping()
        client.delete_bucket(Bucket=bucket.rpartition("/")[2])
        with pytest.raises(ObjectStoreError, match="the bucket does not exist"):
            store.ping()


def test_unreachable_service_raises():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = taken.getsockname()[1]
    with pytest.raises(ObjectStoreError, match="cannot be reached"):
        connect(f"s3://bilder?endpoint=http://127.0.0.1:{nobody}", key="k", secret="geheim")


def test_silent_service_times_out():
    start = time.monotonic()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"s3://bilder?endpoint=http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(ObjectStoreError, match="ReadTimeoutError"):
            connect(url, key="k", secret="geheim", timeout=0.2)
    # three times 0.2 s, and botocore's pauses of up to 1 and 2 s
    assert time.monotonic() - start < DEADLINE


def test_truncated_original_is_put_again(place, client):
    content, data = jpeg(1)
    url, keys = place
    prefix = re.match("s3://bilder/([^?]+)", url)[1]
    where = {"Bucket": "bilder", "Key": f"{prefix}/originals/{content}"}
    with connect(url + "&create=1", **keys) as store:
        client.put_object(**where, Body=data[:50])
        for other in ("notes.txt", f"below/{content}"):
            client.put_object(Bucket="bilder", Key=f"{prefix}/originals/{other}", Body=b"")
        assert store.get(content) == data[:50]
        store.put(content, data, "image/jpeg")
        assert store.get(content) == data
        assert client.head_object(**where)["ContentType"] == "image/jpeg"
        store.put(content, data, "image/gif")  # skipped: the stored object does not change
        assert client.head_object(**where)["ContentType"] == "image/jpeg"
        assert [key for key, _ in store.contents()] == [content]


def test_prefixes_in_one_bucket_are_separate(store, place):
    content, data = jpeg(6)
    _, keys = place
    store.put(content, data, "image/jpeg")
    store.put_thumbnail(content, 64, b"small")
    with connect(store.url.replace("?", "2?"), **keys) as other:  # a longer prefix
        assert not other.exists(content)
        assert list(other.contents()) == []
        assert other.thumbnail(content, 64) is None
        other.delete(content)
        with pytest.raises(ObjectNotFound):
            other.get(content)
    assert store.get(content) == data


@pytest.mark.parametrize(
    "url",
    [
        "s3://",
        "s3://Bilder/x",
        "s3://bilder/../other",
        "s3://bilder/a%0Ab",
        "s3://key:geheim@bilder",
        "s3://key:geheim/bilder",
        "s3://bilder?endpoint=http://key:geheim@host",
        "s3://bilder?endpoint=http://key:geheim%40host",
        "s3://bilder?endpoint=ftp://host",
        "s3://bilder?endpoint=http://host/path",
        "s3://bilder?endpoint=http://host:port",
        "s3://bilder?public=host",
        "s3://bilder?region=a/b",
        "s3://bilder?create=yes",
        "s3://bilder?secret=geheim",
        "s3://bilder#geheim",
        "s3://[bilder",
        "s3://bilder/" + "ü" * 300,
    ],
)
def test_invalid_url_raises_without_showing_the_secret(url):
    with pytest.raises(ConfigError) as refused:
        connect(url, key="k", secret="s")
    assert "geheim" not in "".join(traceback.format_exception(refused.value))


def test_key_and_secret_are_required():
    for keys in ({}, {"key": "k"}, {"secret": "s"}):
        with pytest.raises(ConfigError, match="access key or its secret is missing"):
            connect("s3://bilder", **keys)


def test_missing_boto3_names_the_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "boto3", None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[s3\]'"):
        connect("s3://bilder", key="k", secret="s")

"""Access to Tencent VectorDB: URLs, keys, dead hosts, TLS."""

import datetime as dt
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

pytest.importorskip("tcvectordb", reason="pip install '.[tencent]'")

import grpc
import requests
from tcvectordb.rpc.proto import olama_pb2

from imgsearch import settings
from imgsearch.backends import Schema, canonical, connect
from imgsearch.backends.tencent.backend import Backend
from imgsearch.errors import (
    BackendError,
    BackendUnavailable,
    ConfigError,
)
from imgsearch.library.stores import connected
from imgsearch.settings import Settings
from imgsearch.testing.tencent import Emulator
from tests.backends.cloud import KEY, PROTOCOLS, TOKEN, error_text


@pytest.mark.parametrize(
    ("given", "spelling"),
    [
        ("tencent://HOST/db", "tencent://host:80/db"),
        ("tencent+grpc://10.0.0.7/", "tencent+grpc://10.0.0.7:80/default"),
        ("tencent+https://host/db?shards=1&replicas=0", "tencent+https://host:443/db"),
        ("tencent+grpcs://host:1/db?ca=/a b.pem", "tencent+grpcs://host:1/db?ca=/a%20b.pem"),
        (
            "tencent://h/db?shards=3&consistency=eventual",
            "tencent://h:80/db?consistency=eventual&shards=3",
        ),
    ],
)
def test_urls_have_one_spelling(given: str, spelling: str) -> None:
    assert canonical(given) == canonical(spelling) == spelling


@pytest.mark.parametrize(
    "url",
    [
        f"tencent://root:{KEY}@host/db",
        f"tencent://{KEY}@host/db",
        f"tencent://host/db?key={KEY}",
        f"tencent://host/db#{KEY}",
        f"tencent://host:{KEY}/db",
        f"tencent://host/db?shards={KEY}",
        f"tencent://host/db?consistency={KEY}",
        "tencent://host/db?shards=0",
        "tencent://host/db?shards=101",
        "tencent://host/db?replicas=-1",
        "tencent://host/a/b",
        "milvus://host/db?shards=1",
    ],
)
def test_invalid_url_is_rejected_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigError) as error:
        connect(url, token=TOKEN)
    assert KEY not in error_text(error)


@pytest.mark.parametrize("token", [None, "", "root:", ":", f"{KEY}\n", f"{KEY} ", f"{KEY}é"])
def test_invalid_token_is_rejected_without_showing_it(
    emulator: Emulator, token: str | None
) -> None:
    with pytest.raises(ConfigError, match="IMGSEARCH_TENCENT_KEY") as error:
        connect(f"{emulator.url.replace('http', 'tencent')}/db", token=token)
    assert KEY not in error_text(error)


def test_invalid_database_name_is_rejected_before_a_request(emulator: Emulator) -> None:
    with pytest.raises(ConfigError, match="database"):
        connect(f"{emulator.url.replace('http', 'tencent')}/9x", token=TOKEN)


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("token", ["wrong-key-of-mine", "other:wrong-key-of-mine", f"other:{KEY}"])
def test_wrong_key_names_the_setting(
    address: str, emulator: Emulator, token: str, status: int
) -> None:
    emulator.faults.unauthorised = status
    with pytest.raises(BackendError, match="IMGSEARCH_TENCENT_KEY") as error:
        connect(address, token=token)
    assert not isinstance(error.value, BackendUnavailable)  # a retry would not help
    assert KEY not in error_text(error)
    assert "wrong-key-of-mine" not in error_text(error)
    assert emulator.calls["/database/list"] == 1


def test_key_is_never_shown(cloud: Backend, emulator: Emulator) -> None:
    collection = cloud.create("pictures", Schema(4))
    emulator.faults.fail(500, calls=9)
    with pytest.raises(BackendUnavailable) as error:
        collection.count()
    assert KEY not in error_text(error) + repr(cloud) + repr(collection) + cloud.url


def test_key_without_account_belongs_to_root(address: str) -> None:
    with connect(address, token=KEY) as store:
        assert store.names() == []


def test_password_in_netrc_does_not_replace_the_key(
    address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login somebody password else\n")
    monkeypatch.setenv("NETRC", str(netrc))
    with connect(address, token=TOKEN) as store:
        assert store.names() == []


def test_command_line_takes_the_key_from_the_environment(address: str) -> None:
    from_environment = Settings.from_environment({"IMGSEARCH_TENCENT_KEY": TOKEN})
    # operators do not know the key
    with connected(address, settings=from_environment), connect(address) as store:
        assert store.names() == []


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_dead_host_raises_within_the_timeout(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    for timeout in (0.5, 10):  # a closed port fails at once
        start = time.monotonic()
        with pytest.raises(BackendUnavailable, match=f"127.0.0.1:{port}"):
            connect(f"{scheme}://127.0.0.1:{port}/db", token=TOKEN, timeout=timeout)
        assert time.monotonic() - start < 4


@pytest.mark.parametrize("scheme", PROTOCOLS)
def test_silent_host_raises_within_the_timeout(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings, "_CONNECT", 1.0)  # opening has a limit of its own
    # accepts connections without answering
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        start = time.monotonic()
        with pytest.raises(BackendUnavailable, match="within 1 s") as error:
            connect(f"{scheme}://127.0.0.1:{port}/db", token=TOKEN)
        assert time.monotonic() - start < 2
        assert error.value.__cause__ is not None


def test_unaccepted_connections_fail_within_the_timeout() -> None:
    """The SDK's own three retries would make this four times as long."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        fill = [socket.socket() for _ in range(4)]
        try:
            for one in fill:  # a full queue drops the packets of the next connection
                one.setblocking(False)
                one.connect_ex(("127.0.0.1", port))
            start = time.monotonic()
            with pytest.raises(BackendUnavailable):
                connect(f"tencent://127.0.0.1:{port}/db", token=TOKEN, timeout=1)
            assert time.monotonic() - start < 2
        finally:
            for one in fill:
                one.close()


def test_closed_store_raises(address: str) -> None:
    store = connect(address, token=TOKEN)
    collection = store.create("a", Schema(4))
    store.close()
    store.close()
    with pytest.raises(BackendError, match="closed"):
        collection.count()


# -- TLS ----------------------------------------------------------------------------------------


class Answering(BaseHTTPRequestHandler):
    """Answers the listing of databases, like the service."""

    def do_GET(self) -> None:
        content = json.dumps({"code": 0, "msg": "operation success", "databases": []}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *arguments: object) -> None:
        del arguments


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Return host and port of an https server for localhost, and its certificate."""
    pytest.importorskip("cryptography")
    certificate = _certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, tmp_path / "key.pem")
    server = HTTPServer(("127.0.0.1", 0), Answering)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"localhost:{server.server_port}", certificate
    server.shutdown()
    thread.join()
    server.server_close()


def _certificate(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    (folder / "key.pem").write_bytes(
        key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    (folder / "cert.pem").write_bytes(certificate.public_bytes(encoding))
    return folder / "cert.pem"


def test_https_accepts_only_trusted_certificates(
    tls: tuple[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, certificate = tls
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", requests.certs.where())  # which requests prefers
    start = time.monotonic()
    with pytest.raises(BackendError, match="certificate") as error:
        connect(f"tencent+https://{host}/db", token=TOKEN, timeout=9)
    assert not isinstance(error.value, BackendUnavailable)
    assert time.monotonic() - start < 4
    with connect(f"tencent+https://{host}/db?ca={certificate}", token=TOKEN) as store:
        assert isinstance(store, Backend)
        verified: list[object] = []
        store.calls(lambda client, _: verified.append(client.http_client.session.verify))
        assert verified == [str(certificate)]


def test_grpcs_accepts_only_trusted_certificates(tmp_path: Path) -> None:
    pytest.importorskip("cryptography")
    certificate = _certificate(tmp_path)
    pair = (tmp_path / "key.pem").read_bytes(), certificate.read_bytes()
    listing = grpc.unary_unary_rpc_method_handler(
        lambda request, context: olama_pb2.DatabaseResponse(),
        request_deserializer=olama_pb2.DatabaseRequest.FromString,
        response_serializer=olama_pb2.DatabaseResponse.SerializeToString,
    )
    with ThreadPoolExecutor(2) as workers:
        server = grpc.server(
            workers, [grpc.method_handlers_generic_handler("database", {"list": listing})]
        )
        port = server.add_secure_port("localhost:0", grpc.ssl_server_credentials([pair]))
        server.start()
        try:
            with pytest.raises(BackendUnavailable, match=f"localhost:{port}"):
                connect(f"tencent+grpcs://localhost:{port}/db", token=TOKEN, timeout=1)
            connect(f"tencent+grpcs://localhost:{port}/db?ca={certificate}", token=TOKEN).close()
        finally:
            server.stop(grace=None).wait()


@pytest.mark.parametrize("scheme", ["tencent+https", "tencent+grpcs"])
def test_missing_certificate_file_raises(scheme: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="certificates"):
        connect(f"{scheme}://localhost:1/db?ca={tmp_path}/none.pem", token=TOKEN)


def test_grpcs_does_not_send_clear_text(emulator: Emulator) -> None:
    address = emulator.rpc_url.replace("http", "tencent+grpcs")
    with pytest.raises(BackendUnavailable):
        connect(f"{address}/db", token=TOKEN, timeout=1)
    assert not emulator.calls

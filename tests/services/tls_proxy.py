"""A TLS-terminating proxy with a self-signed certificate, as used before a service."""

import datetime as dt
import ipaddress
import re
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def certificate(folder: Path) -> Path:
    """Write a key and a certificate for localhost into one PEM file; return its path."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    now = dt.datetime.now(dt.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=2))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = folder / "proxy.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    return path


@contextmanager
def tls_proxy(upstream: int, pem: Path, *, keep_host: bool = True) -> Iterator[str]:
    """Terminate TLS before a loopback port; yield the proxy's URL.

    The proxy sets X-Forwarded-Proto, X-Forwarded-For and X-Forwarded-Host. `keep_host` False
    sends the upstream's own address as Host, the default of nginx.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem)

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError), context.wrap_socket(self.request, server_side=True) as client:
                request = _request(client)
                if request is None:
                    return
                with socket.create_connection(("127.0.0.1", upstream)) as service:
                    head, body = request
                    address = self.client_address[0]
                    service.sendall(_forwarded(head, address, upstream, keep_host=keep_host) + body)
                    while part := service.recv(65_536):
                        client.sendall(part)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"https://localhost:{server.server_address[1]}"
        finally:
            server.shutdown()
            thread.join()


def _request(client: ssl.SSLSocket) -> tuple[bytes, bytes] | None:
    """Return a request's head and body, or None if the connection ends before."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        if end and len(body) >= (int(length[1]) if length else 0):
            return head, body
        part = client.recv(65_536)
        if not part:
            return None
        data += part


def _forwarded(head: bytes, address: str, upstream: int, *, keep_host: bool) -> bytes:
    """Return the head for the service, with one request per connection."""
    first, *lines = head.split(b"\r\n")
    host = next(line for line in lines if line.lower().startswith(b"host:"))
    kept = [line for line in lines if not line.lower().startswith((b"host:", b"connection:"))]
    own = host if keep_host else b"Host: 127.0.0.1:%d" % upstream
    kept += [own, b"Connection: close", b"X-Forwarded-Proto: https"]
    kept += [b"X-Forwarded-For: " + address.encode(), b"X-Forwarded-" + host]
    return b"\r\n".join([first, *kept]) + b"\r\n\r\n"

"""A web server on loopback with scripted responses: truncated, endless, changed, redirected."""

import re
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class WebServer:
    """Serves `content` at every path, except for the next requests listed in `script`.

    An item of `script` is a function of the handler. After the last item, responses are correct.
    `requests` has the headers of every request, with its path.
    """

    def __init__(self, content=b"", *, etag='"eins"', ranges=True, context=None):
        self.content, self.etag, self.ranges = content, etag, ranges
        self.script, self.requests = [], []
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        if context is not None:
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        scheme = "https" if context else "http"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_port}/reverse.zip"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.released.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _handler(site):  # noqa: N805 - `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            server_site = site

            def do_GET(self):
                site.requests.append({"path": self.path, **self.headers})
                try:
                    (site.script.pop(0) if site.script else proper)(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_HEAD = do_PUT = do_GET  # noqa: N815 - http.server's names; with an item of `script`

            def log_message(self, *_):
                pass

        return Handler


def head(handler, status, **headers):
    handler.send_response(status)
    for name, value in headers.items():
        if value is not None:
            handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()


def proper(handler, *, stop=None):
    """Send a correct response with support of ranges, up to byte `stop` of the content."""
    site = handler.server_site
    range_match = re.fullmatch("bytes=([0-9]+)-", handler.headers.get("Range", ""))
    valid = handler.headers.get("If-Range") in (None, site.etag)
    start, size = 0, len(site.content)
    if range_match and valid and site.ranges:
        start = int(range_match[1])
        content_range = f"bytes {start}-{size - 1}/{size}"
        head(handler, 206, Content_Length=size - start, Content_Range=content_range, ETag=site.etag)
    else:
        head(handler, 200, Content_Length=size, ETag=site.etag)
    handler.wfile.write(site.content[start:stop])


def cut(stop):
    """Respond up to byte `stop` of the content, and close the connection."""
    return lambda handler: proper(handler, stop=stop)


def stall(stop):
    """Respond up to byte `stop`, then send nothing until the server ends."""

    def answer(handler):
        proper(handler, stop=stop)
        handler.server_site.released.wait()

    return answer


def redirect(location, status=302):
    return lambda handler: head(handler, status, Location=location, Content_Length=0)


def answer(status, body=b"", **headers):
    def respond(handler):
        head(handler, status, **headers)
        handler.wfile.write(body)

    return respond


def endless(handler):
    """Send an endless response without a length."""
    head(handler, 200)
    while True:
        handler.wfile.write(b"x" * 65_536)


def server_context(folder, run):
    """Return a TLS context with a new certificate for 127.0.0.1, and the certificate."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    words = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
    words += ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    words += ["-keyout", str(key), "-out", str(certificate)]
    run(words, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate

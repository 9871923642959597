"""A hub on loopback for huggingface_hub: HEAD and GET of repository files."""

import hashlib
import http.server
import threading
from contextlib import contextmanager


@contextmanager
def serving(files, *, lying=False):
    """Serve {"owner/name/file": bytes}; yield the URL and the list of requests.

    `lying`: the sent bytes differ from the announced hash.
    """
    seen = []

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            seen.append((self.command, self.path))
            content = files.get(self.path.lstrip("/").replace("/resolve/main", ""))
            self.send_response(404 if content is None else 200)
            self.send_header("Content-Length", str(len(content or b"")))
            if content is None:
                self.send_header("X-Error-Code", "EntryNotFound")
            else:
                self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", "0" * 40)
            self.end_headers()
            if content is not None and self.command == "GET":
                last = content[-1] ^ lying
                self.wfile.write(content[:-1] + bytes([last]))

        do_HEAD = do_GET  # noqa: N815  # http.server's names

        def log_message(self, *arguments):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", seen
        finally:
            server.shutdown()

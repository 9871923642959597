"""A service on a free loopback port, in a thread of the test process."""

import asyncio
import io
import itertools
import json
import ssl
import threading
from contextlib import ExitStack, contextmanager, nullcontext

import httpx
from PIL import Image

from imgsearch.archive import CollectionOptions, opened
from imgsearch.archive.access import Keys
from imgsearch.service import Limits
from imgsearch.service import server as serving
from tests.pictures import picture

_names = itertools.count()


class Running:
    """A running service: its archive, application, and clients with a key of each scope."""

    def __init__(self, archive, app, url, secrets):
        self.archive, self.app, self.url, self.secrets = archive, app, url, secrets
        self.clients = ExitStack()
        self.http = self.client("admin")

    def client(self, scope=None, **options):
        """Return a client with a key of the scope; None: without a key."""
        headers = {"Authorization": f"Bearer {self.secrets[scope]}"} if scope else {}
        plain = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # the default reads 150 certificates
        client = httpx.Client(
            base_url=self.url, headers=headers, timeout=30, verify=plain, **options
        )
        return self.clients.enter_context(client)

    def search(self, collection, **query):
        """Search with a JSON request; return the body of the response."""
        answer = self.http.post("/v1/search", json={"collection": collection, **query})
        assert answer.status_code == 200, answer.text
        return answer.json()

    def finished(self, job):
        """Follow a job's events to their end; return the last state."""
        lines = self.http.get(f"/v1/jobs/{job['id']}/events").text.splitlines()
        states = [json.loads(line[6:]) for line in lines if line.startswith("data: ")]
        assert states[-1]["state"] in ("done", "failed", "cancelled")
        return states[-1]

    def collection(self):
        """Return the name of an unused collection."""
        return f"c{next(_names)}"

    def add(self, *numbers, collection, **fields):
        """Upload pictures by their numbers; return the image of each response, in order."""
        files = [("file", (f"bild ü {n}.jpg", jpeg(n), "image/jpeg")) for n in numbers]
        answer = self.http.post(
            "/v1/images", files=files, data={"collection": collection, **fields}
        )
        assert answer.status_code in (200, 201), answer.text
        by_name = {image["name"]: image for image in answer.json()["images"]}
        return [by_name[f"bild ü {n}.jpg"] for n in numbers]


@contextmanager
def event_loop():
    """Give this thread an event loop, because Gradio needs one and would leave its own open."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    try:
        yield
    finally:
        asyncio.set_event_loop(None)
        loop.close()


@contextmanager
def running(topology, folder, *, limits=None, auth=True, **options):
    """Run a service over a topology within the block."""
    page = options.pop("page", False)
    making = {
        name: options.pop(name)
        for name in ("roots", "most_collections", "regions")
        if name in options
    }
    creation = CollectionOptions("lite", fields=options.pop("fields", None))
    with opened(folder, creation=creation, **making, **topology.arguments()) as archive:
        keys = Keys(archive.catalog)
        secrets = {scope: keys.create(scope, [scope])[1] for scope in ("read", "write", "admin")}
        with (
            event_loop() if page else nullcontext(),
            serving.running(
                archive,
                keys=keys if auth else None,
                limits=limits or Limits(),
                hosts=serving.LOOPBACK,
                page=page,
                **options,
            ) as app,
            served(app) as url,
        ):
            service = Running(archive, app, url, secrets)
            with service.clients:
                yield service


@contextmanager
def served(app):
    """Serve an application in a thread; yield its address."""
    started, place = threading.Event(), serving.listening("127.0.0.1", 0)
    server = serving.server(app, on_start=lambda _port: started.set())
    thread = threading.Thread(target=server.run, args=([place],))
    thread.start()
    try:
        assert started.wait(30)
        yield f"http://127.0.0.1:{place.getsockname()[1]}"
    finally:
        server.handle_exit(2, None)
        thread.join(30)
        place.close()


def jpeg(number, **options):
    """Return picture `number` as a JPEG file's bytes."""
    file = io.BytesIO()
    Image.fromarray(picture(number, **options)).save(file, "JPEG", quality=90)
    return file.getvalue()

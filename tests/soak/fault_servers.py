"""A Milvus server, MariaDB and an S3 service, each behind a relay, and the faults they can have."""

import os
import signal
import threading
from contextlib import ExitStack, contextmanager

from pymilvus import MilvusClient

from tests.services.faulty_relay import FaultyRelay
from tests.services.mariadb_server import MariaDBServer
from tests.services.milvus_server import MilvusServer
from tests.services.swift_server import KEY, SwiftServer

LEASE = 15  # seconds that a restarted Milvus waits for the lease of the killed one
SERVER_FAULTS = ("kill", "restart", "freeze", "cut")
HTTP_FAULTS = ("busy", "slow", "half")
FAULTS = {"milvus": SERVER_FAULTS, "mariadb": SERVER_FAULTS, "s3": (*SERVER_FAULTS, *HTTP_FAULTS)}


class Place:
    """A server behind its relay; `fault` is a block within which it fails."""

    def __init__(self, server, port, signaled):
        self.server, self._signaled = server, signaled
        self.relay = FaultyRelay(port)

    @contextmanager
    def fault(self, kind):
        """Let the server fail within the block. It works again afterwards, with its data.

        A killed server is down within the block; a restarted one is killed and started before it.
        """
        self._begin(kind)
        try:
            yield
        finally:
            self._end(kind)

    def _begin(self, kind):
        match kind:
            case "kill":
                self.server.close()
                self.relay.set("refuse")
            case "restart":
                self.server.close()
                self.relay.set("refuse")
                self._end("kill")
            case "freeze":
                self._signaled(signal.SIGSTOP)
            case _:
                self.relay.set(kind)

    def _end(self, kind):
        match kind:
            case "kill":
                self.server.restart()
                self.relay.set("pass")
            case "restart":
                pass
            case "freeze":
                self._signaled(signal.SIGCONT)
            case _:
                self.relay.set("pass")


class Servers:
    """The three servers, started side by side. `arguments` opens an archive through the relays."""

    def __init__(self, folder, running, lease):
        self.places, self._folder, self._lease = {}, folder, lease
        starts = {"milvus": self._milvus, "mariadb": self._mariadb, "s3": self._s3}
        threads = [
            threading.Thread(target=self._start, args=(name, start, running))
            for name, start in starts.items()
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(self.places) == len(starts), f"only {sorted(self.places)} started"
        client = MilvusClient(f"http://127.0.0.1:{self.ports['milvus']}", token=MilvusServer.token)
        client.create_database("ausfall")
        client.close()
        self.places["mariadb"].server.url("ausfall")

    @property
    def ports(self):
        return {name: place.relay.port for name, place in self.places.items()}

    def arguments(self):
        """Return the arguments of `imgsearch.archive.opened`."""
        ports = self.ports
        s3 = self.places["s3"].server
        return {
            "db": f"milvus://127.0.0.1:{ports['milvus']}/ausfall",
            "token": MilvusServer.token,
            "catalog": f"mysql://imgsearch@127.0.0.1:{ports['mariadb']}/ausfall",
            "catalog_password": MariaDBServer.password,
            "originals": f"s3://bilder/?endpoint=http://127.0.0.1:{ports['s3']}&create=1",
            "s3_key": KEY,
            "s3_secret": s3.secret,
        }

    def _start(self, name, start, running):
        place = start()
        running.callback(place.server.close)
        running.callback(place.relay.close)
        self.places[name] = place

    def _milvus(self):
        server = MilvusServer(self._folder / "milvus", lease=self._lease)
        return Place(server, lambda: server.port, lambda n: os.killpg(server.group, n))

    def _mariadb(self):
        server = MariaDBServer(self._folder / "m")
        return Place(server, lambda: server.port, lambda n: os.killpg(server.group, n))

    def _s3(self):
        server = SwiftServer(self._folder / "swift")

        def port():
            return int(server.endpoint.rpartition(":")[2])

        return Place(server, port, lambda n: os.kill(server.pid, n))


@contextmanager
def servers(folder, lease=LEASE):
    """Start the servers; kill them at the end of the block."""
    with ExitStack() as running:
        yield Servers(folder, running, lease)

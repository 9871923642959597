"""Runs in Swift's process: its proxy with the S3 interface, and its three storage servers.

All are Swift's own servers, as green threads of one process, so only one process has to start and
end. They listen on free loopback ports.
"""

import getpass
import os
import socket
import sys
from pathlib import Path
from typing import Final

import eventlet
import eventlet.wsgi
from eventlet.hubs import trampoline
from swift.common import utils
from swift.common.constraints import MAX_REQUEST_LINE
from swift.common.http_protocol import SwiftHttpProtocol
from swift.common.ring import RingBuilder
from swift.common.wsgi import loadapp

HOST: Final = "127.0.0.1"
STORES: Final = ("account", "container", "object")
PIPELINE: Final = (
    "catch_errors proxy-logging cache listing_formats bulk s3api tempauth copy slo dlo "
    "versioned_writes symlink proxy-logging proxy-server"
)
NAMES: Final = {"cache": "memcache"}  # filters whose entry point has another name


def configured(folder: Path, name: str, sections: dict[str, dict[str, str]]) -> Path:
    """Write a server's configuration; return its path."""
    common = {
        "swift_dir": str(folder),
        "devices": str(folder / "disks"),
        "mount_check": "false",
        "recon_cache_path": str(folder),
        "user": getpass.getuser(),
        "node_timeout": "60",  # seconds; tests share the machine with other programs
        "conn_timeout": "10",
        "log_name": name,
    }
    path = folder / f"{name}.conf"
    lines = []
    for section, options in {"DEFAULT": common, **sections}.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items()), ""]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def proxy(folder: Path, secret: str) -> Path:
    """Write the proxy's configuration; return its path."""
    options = {
        # no server listens on port 1, so nothing is cached
        "cache": {"memcache_servers": f"{HOST}:1"},
        "tempauth": {"user_admin_admin": f"{secret} .admin .reseller_admin"},
    }
    sections = {"pipeline:main": {"pipeline": PIPELINE}}
    for name in sorted(set(PIPELINE.split()) - {"proxy-server"}):
        entry = NAMES.get(name, name.replace("-", "_"))
        sections[f"filter:{name}"] = {"use": f"egg:swift#{entry}", **options.get(name, {})}
    sections["app:proxy-server"] = {
        "use": "egg:swift#proxy",
        "account_autocreate": "true",
        "allow_account_management": "true",
    }
    return configured(folder, "proxy-server", sections)


def store(folder: Path, kind: str, port: int) -> Path:
    """Write a storage server's configuration and ring of one disk; return the configuration."""
    ring = RingBuilder(part_power=4, replicas=1, min_part_hours=0)
    ring.add_dev(
        {"id": 0, "region": 1, "zone": 1, "ip": HOST, "port": port, "device": "disk", "weight": 1.0,
         "replication_ip": HOST, "replication_port": port, "meta": ""}
    )  # fmt: skip
    ring.rebalance(seed="1")
    ring.get_ring().save(str(folder / f"{kind}.ring.gz"))
    app = f"{kind}-server"
    return configured(
        folder,
        app,
        {"pipeline:main": {"pipeline": app}, f"app:{app}": {"use": f"egg:swift#{kind}"}},
    )


def main(folder: Path) -> None:
    # not an argument, because other processes can read arguments
    secret = sys.stdin.readline().strip()
    os.environ["TMPDIR"] = str(folder)  # noqa: TID251  # Swift's, here alone
    (folder / "swift.conf").write_text(
        "[swift-hash]\nswift_hash_path_suffix = imgsearch\n"
        "[storage-policy:0]\nname = gold\ndefault = yes\n",
        encoding="utf-8",
    )
    (folder / "disks/disk").mkdir(parents=True, exist_ok=True)
    utils.monkey_patch()
    utils.set_swift_dir(str(folder))
    sockets = {name: eventlet.listen((HOST, 0)) for name in ("proxy", *STORES)}
    for listener in sockets.values():
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # set by Swift, too
    paths = {kind: store(folder, kind, sockets[kind].getsockname()[1]) for kind in STORES}
    paths["proxy"] = proxy(folder, secret)
    for name in (*STORES, "proxy"):
        app = loadapp(str(paths[name]), global_conf={"log_name": name})
        eventlet.spawn(
            eventlet.wsgi.server, sockets[name], app, utils.NullLogger(),
            protocol=SwiftHttpProtocol,
            capitalize_response_headers=False,  # S3 clients expect ETag, not Etag
            url_length_limit=MAX_REQUEST_LINE,
        )  # fmt: skip
    print(f"ready {sockets['proxy'].getsockname()[1]}", flush=True)  # noqa: T201  # for the parent
    trampoline(sys.stdin.fileno(), read=True)  # which the parent keeps open while it runs


if __name__ == "__main__":
    main(Path(sys.argv[1]))
    os._exit(0)  # open connections would delay the exit

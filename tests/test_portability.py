"""The package runs where calls of POSIX are missing, as on Windows.

The calls are taken away in a process of its own before anything else is imported, and modules such
as fcntl from our modules. Windows itself is not tested: its paths and locks of files differ, too.
"""

import re
import subprocess
import sys

import pytest

from imgsearch.client import Client
from imgsearch.objects.open_folder import open_folder
from tests.conftest import ENVIRONMENT
from tests.pictures import write

WITHOUT = """
import os, signal, sys, time
for name in (
    "O_DIRECTORY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "getuid", "geteuid", "getgid",
    "getegid", "sched_getaffinity", "getpriority", "setpriority", "nice", "mkfifo", "mknod",
    "fork", "forkpty", "chown", "lchown", "fchmod", "fchown", "getpgid", "killpg", "setsid",
    "sysconf", "statvfs", "getloadavg", "pread", "pwrite", "sendfile", "posix_fallocate",
    "posix_spawn", "symlink", "PRIO_PROCESS",
):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGHUP", "SIGKILL", "SIGUSR1", "SIGUSR2", "SIGALRM", "SIGPIPE", "setitimer", "alarm"):
    if hasattr(signal, name):
        delattr(signal, name)
os.supports_dir_fd = os.supports_fd = os.supports_follow_symlinks = set()
import builtins
imported = builtins.__import__
def without(name, globals=None, *others, **more):
    own = str((globals or {}).get("__name__", "")).startswith(("imgsearch", "operators"))
    if own and name in ("fcntl", "resource", "pwd", "grp", "termios", "pty", "tty", "syslog"):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)
    return imported(name, globals, *others, **more)
builtins.__import__ = without  # milvus-lite has msvcrt on Windows, for example
"""


def without_posix(program, *words, folder, **variables):
    """Run a program without the calls; return its standard output."""
    command = [sys.executable, "-X", "utf8", "-c", WITHOUT + program, *map(str, words)]
    done = subprocess.run(
        command,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**ENVIRONMENT, "PYTHONPATH": ":".join(sys.path), **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


CLI = "from imgsearch.cli import main; main()"

IMPORTS = """
import importlib, pkgutil, imgsearch
for module in pkgutil.walk_packages(imgsearch.__path__, "imgsearch."):
    if any(part in module.name for part in sys.argv[1].split()):
        continue
    importlib.import_module(module.name)
    print(module.name)
"""

OBJECTS = """
from hashlib import sha256
from pathlib import Path
from imgsearch.errors import ObjectNotFound, ObjectStoreError
from imgsearch.objects.folder import FolderStore
from imgsearch.client import Client
from imgsearch.objects.open_folder import CheckedFolder, open_folder
root = Path("originals")
store = FolderStore(root)
assert isinstance(open_folder(root), CheckedFolder)
data = bytes(range(256)) * 9_000 + b"\\r\\n\\x1a"
content = sha256(data).hexdigest()
for _ in range(2):
    store.put(content, data, "image/png")
assert b"".join(store.stream(content)) == data and store.exists(content)
assert [one for one, age in store.contents()] == [content]
store.put_thumbnail(content, 128, b"small")
assert store.thumbnail(content, 128) == b"small"
assert not list((root / "unfinished").iterdir())
store.delete(content)
assert not store.exists(content) and store.thumbnail(content, 128) is None
FolderStore(root).ping()
try:
    next(iter(store.stream(content)))
except ObjectNotFound:
    print("missing")
shard = root / "originals" / content[:2]
(root / "elsewhere").mkdir()
(root / "elsewhere" / content).write_bytes(data)
os.rmdir(shard)
import _posixsubprocess, posix  # the test itself makes a link
posix.symlink(str((root / "elsewhere").resolve()), str(shard))
try:
    next(iter(store.stream(content)))
except ObjectStoreError as error:
    print(error)
"""


@pytest.mark.process
def test_core_is_imported(tmp_path):
    # modules of frameworks, which have their own requirements
    others = (
        "testing.contract torch openvino timm clip integrations __main__ migrations.env ui. "
        "engines.ray engines.daft"
    )
    names = without_posix(IMPORTS, others, folder=tmp_path).split()
    assert len(names) > 250
    assert {"imgsearch.objects.folder", "imgsearch.service.app", "imgsearch.cli.main"} <= {*names}


@pytest.mark.process
def test_folder_of_uploads_is_created(tmp_path):
    program = (
        "from imgsearch.ui.uploads import locked, remove_abandoned, uploads\n"
        "folder = uploads()\n"
        "remove_abandoned(folder.parent)\n"
        "print(folder.is_dir(), locked(folder))"
    )
    assert without_posix(program, folder=tmp_path, TMPDIR=str(tmp_path)) == "True None\n"


@pytest.mark.process
@pytest.mark.parametrize("store", ["fotos.db", "memory"])
def test_command_line_adds_and_searches(tmp_path, store):
    file = write(tmp_path / "größe", 3)[0].rename(tmp_path / "größe/a.png")
    if store == "memory":
        program = (
            "from imgsearch.cli import cli\n"
            "for words in ('add größe --model classic', f'search {sys.argv[1]} -f -k 1'):\n"
            "    cli([*words.split(), '--db', 'memory://a'], standalone_mode=False)"
        )
        output = without_posix(program, file, folder=tmp_path)
    else:
        without_posix(CLI, "add", "größe", "--db", store, "--model", "classic", folder=tmp_path)
        without_posix(CLI, "sync", "größe", "--db", store, folder=tmp_path)
        output = without_posix(CLI, "search", file, "--db", store, "-f", "-k", "1", folder=tmp_path)
    assert output == f"{file}\n"


@pytest.mark.process
def test_service_stores_originals_and_searches(tmp_path):
    files = write(tmp_path / "fotos", 2)
    words = ("--data", "daten", "--model", "classic")
    key = without_posix(CLI, "keys", "create", "я", "--scope", "admin", *words[:2], folder=tmp_path)
    command = [sys.executable, "-c", WITHOUT + CLI, "serve", "--port", "0", "--no-page", *words]
    environment = {**ENVIRONMENT, "PYTHONPATH": ":".join(sys.path), "COLUMNS": "200"}
    with subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        try:
            lines = []
            for line in running.stderr:
                lines.append(line)
                if match := re.search(r"http://[^ ,]+", line):
                    break
            else:
                pytest.fail("".join(lines))
            with Client(match[0], key.split()[0]) as client:
                assert client.add(*files).added == 2
                (hit,) = client.search(files[1], k=1)
                assert client.original(hit.id) == files[1].read_bytes()
        finally:
            running.terminate()


def test_originals_are_kept_without_folder_descriptors(tmp_path):
    missing, link = without_posix(OBJECTS, folder=tmp_path).splitlines()
    assert missing == "missing"
    assert "a symbolic link or another file is in its place" in link


def test_folders_are_descriptors_on_posix(tmp_path):
    with open_folder(tmp_path) as folder:
        assert type(folder).__name__ == "DescriptorFolder"


def test_list_with_backslashes_is_named(tmp_path):
    import imgsearch

    (tmp_path / "bilder.csv").write_text("path\n" + r"bilder\katze\1.jpg" + "\n", encoding="utf-8")
    with imgsearch.open("memory://backslashes", model="classic") as library:
        (failure,) = library.add(tmp_path / "bilder.csv").failures
    assert "It has backslashes, as on Windows: here / separates folders" in failure.reason

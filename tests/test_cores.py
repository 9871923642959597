"""The cores of a process: its affinity, the container's quota, and limits."""

import pytest

from imgsearch import threads
from imgsearch.encoders import Recipe, load
from imgsearch.encoders.embedding import Embedding
from imgsearch.errors import ConfigError
from imgsearch.threads import available_cores, granted_cores, limited_cores, quota_of
from tests import pictures


@pytest.mark.parametrize(
    ("line", "files", "cores"),
    [
        ("0::/", {"cpu.max": "150000 100000"}, 1.5),
        ("0::/", {"cpu.max": "max 100000"}, 0),
        ("0::/a/b", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/a/b", {"a/b/cpu.max": "300000 100000", "a/cpu.max": "400000 100000"}, 3),
        ("4:cpu,cpuacct:/x", {
            "cpu/x/cpu.cfs_quota_us": "200000", "cpu/x/cpu.cfs_period_us": "100000"
        }, 2),
        ("4:cpu,cpuacct:/x", {"cpu/x/cpu.cfs_quota_us": "-1"}, 0),
        ("4:memory:/x", {"cpu/x/cpu.cfs_quota_us": "100000"}, 0),
        ("0::/", {"cpu.max": "x"}, 0),
        ("0::/", {"cpu.max": "1 0"}, 0),
        ("", {}, 0),
    ],
)  # fmt: skip
def test_quota_is_the_least_of_the_groups(tmp_path, line, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert quota_of([line], tmp_path) == cores


def test_cores_are_limited(monkeypatch):
    monkeypatch.setattr(threads, "_quota", lambda: 0.0)
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert available_cores() == 8
    monkeypatch.setattr(threads, "_quota", lambda: 2.5)
    assert available_cores() == 3
    with limited_cores(2), granted_cores(1):
        assert available_cores() == 1
    with limited_cores(None), limited_cores(2):
        assert available_cores() == 2
    with granted_cores(5):
        assert available_cores() == 3
    monkeypatch.setattr(threads, "_quota", lambda: 0.1)
    assert available_cores() == 1


def test_embedding_uses_as_many_cores_as_it_is_given(tmp_path, monkeypatch):
    files = [str(file) for file in pictures.write(tmp_path, 24)]
    batches = []
    encoder = load("lite")
    run = type(encoder._batches).run
    monkeypatch.setattr(
        type(encoder._batches),
        "run",
        lambda pool, engine, rows, size: (
            batches.append((len(rows), available_cores())),
            run(pool, engine, rows, size),
        )[1],
    )
    assert Embedding(Recipe.of("lite"), threads=1)(files).num_rows == 24
    assert batches == [(8, 1)] * 3
    with pytest.raises(ConfigError):
        Embedding(threads=0)

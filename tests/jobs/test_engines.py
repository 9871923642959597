"""Ray and Daft give the vectors and failures of `add`, and go on after an image that crashes."""

import importlib.util
import os
from pathlib import Path

import psutil
import pytest

import imgsearch
from imgsearch.backends.vectors.folder import JobFolder
from imgsearch.errors import ConfigError, EncoderMismatch, EngineFailed
from imgsearch.jobs import engines
from imgsearch.jobs.shard import ShardWork
from tests.jobs.mixed import NUMBER, assert_same

pytestmark = [
    pytest.mark.process,
    pytest.mark.filterwarnings("default"),  # other programs' warnings
]
ENGINES = ("ray", "daft")
_STORE = 80 << 20  # bytes, the least that Ray takes


@pytest.fixture(scope="module")
def two_cores():
    """Start Ray with two cores."""
    import ray

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        ray.init(
            num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=_STORE
        )
        yield
        ray.shutdown()


@pytest.fixture(params=ENGINES)
def engine(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed: pip install '.[{request.param}]'")
    if request.param == "ray":
        request.getfixturevalue("two_cores")
    return request.param


def test_rows_and_failures_equal_add(engine, mixed, added, tmp_path):
    job = imgsearch.embed(mixed, to=tmp_path / "job", model="lite", shard=35, engine=engine)
    assert_same(job, added)
    assert job.progress().is_complete
    report = job.report
    assert report.added + report.skipped + report.failed == NUMBER
    again = imgsearch.embed(to=tmp_path / "job", engine=engine)
    assert again.report.notes == ("nothing to do: 2 shards are done",)


def test_error_of_every_shard_ends_the_run(engine, mixed, tmp_path):
    job = imgsearch.embed(mixed, to=tmp_path / "job", model="classic", shard=70)
    file = Path(job.files.title) / "job.json"
    file.write_text(file.read_text().replace('"weights": ""', '"weights": "other"'))
    for name in ("done", "tried"):
        for part in (Path(job.files.title) / name).iterdir():
            part.unlink()
    with pytest.raises(EncoderMismatch, match="weights"):
        imgsearch.embed(to=tmp_path / "job", engine=engine)
    assert JobFolder.open(tmp_path / "job").tries() == {}


class _Dies(ShardWork):
    """Ends its process; a picklable work for the test below."""

    def __call__(self, shard, on_progress=None):
        os._exit(1)


def test_rounds_share_a_cluster_that_ends_with_them(monkeypatch):
    ray = pytest.importorskip("ray")
    ray.shutdown()
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    engine, before = engines.engine("ray", engines.EngineOptions()), set(_children())
    clusters = set()
    with engine.connected():
        assert not ray.is_initialized()  # the first map connects
        for _ in range(2):
            assert list(engine.map(_Dies("job"), iter([0]), print)) == [(0, None)]
            clusters.add(ray.get_runtime_context().get_node_id())
    assert len(clusters) == 1
    assert not ray.is_initialized()
    _gone, alive = psutil.wait_procs(set(_children()) - before, 10)
    assert not alive, alive


def _children():
    return psutil.Process().children(recursive=True)


def test_missing_cluster_is_an_error():
    ray = pytest.importorskip("ray")
    ray.shutdown()
    engine = engines.engine("ray", engines.EngineOptions("127.0.0.1:1"))
    with pytest.raises(EngineFailed, match="cannot connect to 127.0.0.1:1: .*refused"):
        list(engine.map(ShardWork("job"), iter([0]), print))
    with pytest.raises(ConfigError):
        engines.engine("here", engines.EngineOptions("x"))

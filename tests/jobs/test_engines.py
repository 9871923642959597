"""Ray and Daft give the vectors and failures of `add`, and go on after an image that crashes."""

import importlib.util
import os
from pathlib import Path

import pytest

import imgsearch
from imgsearch.backends.vectors.folder import JobFolder
from imgsearch.errors import ConfigError, EncoderMismatch, EngineFailed
from imgsearch.jobs import engines
from tests.jobs.mixed import NUMBER, assert_same

ENVIRONMENT = os.environ  # noqa: TID251 - workers inherit it
pytestmark = [
    pytest.mark.nightly,  # Ray takes 10 s to start; both are extras
    pytest.mark.filterwarnings("default"),  # other programs' warnings
]
ENGINES = ("ray", "daft")


@pytest.fixture(scope="module")
def two_cores():
    """Start Ray with two cores."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, object_store_memory=80 << 20)
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


def test_missing_cluster_is_an_error(tmp_path):
    pytest.importorskip("ray")
    import ray

    ray.shutdown()
    with pytest.raises(EngineFailed, match="cannot connect to 127.0.0.1:1"):
        list(
            engines.engine("ray", engines.EngineOptions("127.0.0.1:1")).map(
                None, iter([0]), lambda _now: None
            )
        )
    with pytest.raises(ConfigError):
        engines.engine("here", engines.EngineOptions("x"))

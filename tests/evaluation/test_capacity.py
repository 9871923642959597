"""Estimates for large collections, by figures worked by hand."""

import json
import re
from pathlib import Path

import pytest

import imgsearch
from imgsearch.encoders import Recipe
from imgsearch.errors import ConfigError, SourceError
from imgsearch.evaluation import capacity
from imgsearch.evaluation.capacity import CONSTANTS, Capacity, Constant
from imgsearch.evaluation.dry_run import measure
from imgsearch.images.references import Reference
from tests.pictures import write

DOCS = Path(__file__).resolve().parents[2] / "docs/capacity.md"


@pytest.fixture
def round_constants(monkeypatch):
    """Use constants that multiply in the head."""
    values = {"row": 100, "float": 4, "write": 4e6, "segment": 4e6, "build": 1e-6, "search": 1e-6}
    constants = {name: Constant(value, "", "") for name, value in values.items()}
    monkeypatch.setattr(capacity, "CONSTANTS", {**CONSTANTS, **constants})


@pytest.mark.usefixtures("round_constants")
def test_estimates_are_products():
    plan = Capacity(1_000_000, 100, image_bytes=50_000, rate=20, workers=5, cores=4, shard=1_000)
    assert plan.originals == 50e9
    assert plan.embedding == 10_000  # a million at 20 x 5 images/s
    assert plan.reading == 5e6  # 100 images/s of 50 kB
    assert plan.shards == 1_000
    assert plan.vectors == 500e6  # 100 + 4 x 100 bytes a row
    assert plan.writing == 100  # 400 MB at 4 MB/s
    assert plan.segments == 100  # 400 MB in parts of 4 MB
    assert plan.indexing == 25  # 1e8 numbers x 1e-6 s on 4 cores
    assert plan.search == pytest.approx(0.01)  # 100 segments x 100 numbers x 1e-6 s
    assert plan.searches == pytest.approx(400)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [  # 512 numbers: 4 bytes each; 32 links of 4 bytes; ids and factors of 8 bytes
        ("flat", 2048),
        ("hnsw", 2176),
        ("hnsw_sq", 640),
        ("ivf_sq8", 520),
        ("ivf_rabitq", 80),
        ("ivf_rabitq+refine", 592),
    ],
)
def test_bytes_of_a_vector(kind, expected):
    assert Capacity(1_000, 512).memory[kind] == 1_000 * expected


def test_a_last_shard_may_be_small():
    assert Capacity(16_385, 8).shards == 2


def test_unknown_speed_leaves_embedding_out():
    plan = Capacity(10, 8)
    assert (plan.embedding, plan.reading) == (None, None)
    assert dict(plan.rows())["embedding, 16 cores"] == "unknown: name a SOURCE to measure it"
    assert plan.to_dict()["embedding"] is None


@pytest.mark.parametrize(
    "figures",
    [{"images": 0}, {"images": 10**30}, {"dim": -1}, {"rate": 0}, {"image_bytes": float("nan")},
     {"cores": 0}, {"workers": float("inf")}],
)  # fmt: skip
def test_impossible_figures_are_refused(figures):
    with pytest.raises(ConfigError, match=f"{next(iter(figures))} is invalid"):
        Capacity(**{"images": 1, "dim": 1} | figures)


@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [
        (capacity.size, 999, "999 B"), (capacity.size, 1e3, "1 kB"),
        (capacity.size, 2.5e9, "2.5 GB"),
        (capacity.size, 3e18, "3e+03 PB"), (capacity.time, 0.0125, "12.5 ms"),
        (capacity.time, 59, "59 s"), (capacity.time, 180, "3 minutes"),
        (capacity.time, 7_200, "2 hours"), (capacity.time, 864_000, "10 days"),
    ],
)  # fmt: skip
def test_figures_are_printed_in_fitting_units(function, value, expected):
    assert function(value) == expected


def test_the_model_gives_dimension_and_speed():
    plan = imgsearch.plan(1_000, model="clip_vit_b32", gpus=2)
    assert (plan.dim, plan.worker, plan.workers, plan.rate) == (512, "GPU", 2, 1_500)
    assert imgsearch.plan(1_000, model="clip_vit_b32", rate=10, dim=64).dim == 64


def test_missing_figures_are_named():
    with pytest.raises(ConfigError, match="dimension of 'timm:x' is unknown"):
        imgsearch.plan(10, model="timm:x")
    with pytest.raises(ConfigError, match="number of images is unknown"):
        imgsearch.plan()
    with pytest.raises(ConfigError, match="the sample is invalid: 0"):
        imgsearch.plan(source=["a.jpg"], sample=0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("größe")
    files = write(folder, 6)
    (folder / "leer.jpg").write_bytes(b"")
    return folder, files


def test_a_sample_is_measured(photos):
    folder, files = photos
    plan = imgsearch.plan(1_000, source=folder, model="classic")
    sizes = [file.stat().st_size for file in files]
    assert plan.image_bytes == pytest.approx(sum(sizes) / 7)  # the empty one counts as a file
    assert (plan.images, plan.dim, plan.worker) == (1_000, 722, "core")
    assert plan.rate > 0
    assert plan.image_source == plan.speed_source == "a sample of 7 images embedded here"
    assert imgsearch.plan(source=folder, model="classic", sample=2).images == 7


def test_failed_images_are_counted(photos):
    folder, files = photos
    images = [Reference(str(files[0])), Reference(str(folder / "leer.jpg")), Reference("missing")]
    run = measure(images, Recipe("classic"))
    assert (run.images, run.failed) == (3, 2)
    with pytest.raises(SourceError, match="none of 1 image could be embedded"):
        measure(images[2:], Recipe("classic"))


def test_plan_of_the_command_line(run, photos):
    done = run("plan", photos[0], "--images", "100000000", "--model", "classic", "--json")
    assert done.exit_code == 0, done.output
    facts = json.loads(done.stdout)
    assert (facts["images"], facts["dim"], facts["shards"]) == (100_000_000, 722, 6104)
    assert facts["constants"]["image"]["source"]
    lines = run("plan", "--images", "100000000", "--model", "clip_vit_b32").stdout.splitlines()
    assert "memory, hnsw\t218 GB" in lines
    assert run("plan").exit_code == 2
    assert run("plan", "--images", "1e9").exit_code == 2
    assert run("plan", "nothing", "--images", "5").exit_code == 1


def test_docs_have_the_tables_of_the_module():
    text = DOCS.read_text("utf-8")
    plans = {
        model: imgsearch.plan(100_000_000, model=model)
        for model in ("lite", "resnet50", "clip_vit_base_patch32")
    }
    tables = {"plan": capacity.markdown(plans), "constants": capacity.constants_markdown()}
    for name, table in tables.items():
        table_in_docs = re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", text, re.DOTALL)
        assert table_in_docs is not None, name
        assert table_in_docs[1] == table

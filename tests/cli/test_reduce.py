import importlib.util
import shlex

import numpy as np
import pytest
from click.testing import CliRunner

from imgsearch import encoders
from imgsearch.encoders import unit
from imgsearch.errors import ConfigError, EncoderError, EncoderMismatch
from imgsearch.towhee import Pipeline, op
from tests.pictures import picture, write

if importlib.util.find_spec("safetensors") is None:
    pytest.skip("reductions are kept by safetensors, of the extra torch", allow_module_level=True)

from imgsearch.cli.reduce import reduce
from imgsearch.encoders.reduction.fit import Reduction


@pytest.fixture
def rows():
    return np.random.default_rng(5).normal(size=(30, 24)).astype(np.float32) + 1


@pytest.fixture
def kept(rows, tmp_path):
    reduction = Reduction.pca([rows], 6)
    reduction.save(tmp_path / "kürzer.safetensors")
    return reduction, tmp_path / "kürzer.safetensors"


def test_operator_agrees_with_the_encoder_option(kept, rows):
    reduction, file = kept
    expected = reduction.apply(unit(rows[:5]))
    pipeline = Pipeline.input("rows").flat_map("rows", "vector", lambda given: given)
    windowed = pipeline.window("vector", "short", 3, 3, op("vector_reduce", file=str(file)))
    queue = windowed.flat_map("short", "one", iter).output("one")(list(rows[:5]))
    vectors = np.stack([queue.get()[0] for _ in range(queue.size)])
    np.testing.assert_allclose(vectors, unit(expected), atol=1e-6)
    raw = op("vector_reduce", file=str(file), normalize=False)
    one = Pipeline.input("vector").map("vector", "short", raw).output("short")(rows[0]).get()[0]
    np.testing.assert_allclose(one, expected[0], atol=1e-6)


def test_operator_keeps_the_error_of_the_faulty_row(kept, rows):
    step = op("vector_reduce", file=str(kept[1]), on_error="keep")
    pipeline = Pipeline.input("vector").map("vector", "short", step).returning("short")
    results = list(pipeline.stream([rows[0], rows[0, :-1], np.zeros(24, np.float32)]))
    assert [type(row["error"]) for row in results] == [type(None), EncoderMismatch, EncoderError]
    assert results[0]["short"].shape == (6,)


@pytest.fixture
def run(tmp_path):
    photos = tmp_path / "fötos"
    write(photos / "a", 6)
    write(photos / "b", 6, start=6)
    (photos / "b" / "kaputt-ü.jpg").write_bytes(b"\xff\xd8\xff no more")

    def run(*words):
        return CliRunner().invoke(reduce, [str(word) for word in words])

    run.photos, run.file = photos, tmp_path / "kürzer.safetensors"
    return run


def test_reduce_fits_saves_and_prints_the_next_step(run):
    done = run(run.photos, "--dim", 5, "--to", run.file)
    assert done.exit_code == 0, done.output
    share = Reduction.load(run.file).kept
    assert f"384 → 5 dimensions, fitted to 12 images: {share:.1%} of the variance" in done.stdout
    assert "1 of 13 images could not be used" in done.stderr
    assert "kaputt-ü.jpg" in done.stderr
    advice = next(line for line in done.stderr.splitlines() if line.startswith("next: "))
    words = shlex.split(advice)
    assert words[1:4] == ["imgsearch", "add", "SOURCE"]
    assert words[-1] == f"--option=reduction={run.file}"
    encoder = encoders.load(options={"reduction": str(run.file)})
    assert encoder.encode([picture(1)]).shape == (1, 5)


def test_reduce_spreads_its_samples_over_all_folders(run):
    words = ("--model", "classic", "--dim", 2, "--samples", 4, "--to", run.file)
    assert run(run.photos, *words).exit_code == 0
    reduction = Reduction.load(run.file)
    # of 13 paths the ones at 0, 3, 6 and 9: pictures 0, 3, 6 and 9
    chosen = encoders.load("classic").encode([picture(seed) for seed in (0, 3, 6, 9)])
    assert reduction.samples == 4
    np.testing.assert_allclose(reduction.mean, chosen.mean(axis=0), atol=1e-5)


def test_reduce_replaces_a_file_only_with_the_option(run):
    words = ("--model", "classic", "--method", "random", "--dim", 4, "--to", run.file)
    assert run(*words).exit_code == 0
    before = run.file.read_bytes()
    refused = run(*words, "--seed", 7)
    assert isinstance(refused.exception, ConfigError)
    assert "--force" in str(refused.exception)
    assert run.file.read_bytes() == before
    assert "seed 7" in run(*words, "--seed", 7, "--force").stdout
    assert Reduction.load(run.file).seed == 7


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--dim", "14"], "needs at least 14 images, not 13"),
        (["--dim", "13"], "12 vectors are too few"),  # one of 13 is broken
        (["--dim", "900"], "Give a smaller --dim"),
        (["--to", "a.npz"], "NAME.safetensors"),
        (["--to", "no folder/a.safetensors"], "no folder"),
    ],
)
def test_reduce_rejects_invalid_values(run, words, message):
    failed = run(run.photos, "--model", "classic", "--dim", 5, "--to", run.file, *words)
    assert isinstance(failed.exception, ConfigError)
    assert message in str(failed.exception)
    assert not run.file.exists()


def test_reduce_usage_error_has_exit_status_2(run):
    no_source = run("--to", run.file)
    assert (no_source.exit_code, "name a SOURCE" in no_source.stderr) == (2, True)
    twice = run(run.photos, "--to", run.file, "--option", "reduction=b.safetensors")
    assert (twice.exit_code, "twice" in twice.stderr) == (2, True)

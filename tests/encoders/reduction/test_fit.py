import importlib.util
import json
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

import imgsearch
from imgsearch import images
from imgsearch.cli import cli
from imgsearch.encoders import Encoder, Recipe, unit
from imgsearch.encoders.classic.encoder import ClassicEncoder
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    EncoderMismatch,
    MissingExtra,
    TextUnsupported,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.towhee import Pipeline
from imgsearch.types import Fingerprint
from tests.pictures import picture, write

if importlib.util.find_spec("safetensors") is None:
    pytest.skip("reductions are kept by safetensors, of the extra torch", allow_module_level=True)

from safetensors.numpy import save as save_tensors

from imgsearch.encoders.reduction.encoder import ReducedEncoder
from imgsearch.encoders.reduction.fit import Reduction, encoder_source

SHARED = Path(__file__).resolve().parents[4] / "shared"
MOBILENET = SHARED / "weights/mobilenetv2_100.safetensors"
GALLERY = SHARED / "data/imagenet-subset/train"
ABOUT = {"kind": "pca", "seed": 0, "samples": 9, "source": "", "kept": 0.5}


class Words(Encoder):
    """Embeds an image as its mean color, and a text as its counts of r, g and b."""

    fingerprint = Fingerprint("wörter", dim=3, templates="a {}")
    batch_size, enough, languages, templates = 7, 5, ("de",), ("ein {}", "{} rg")

    def prepare(self, image):
        return image.mean(axis=(0, 1))

    def features(self, inputs):
        return np.stack(inputs).astype(np.float32)

    def text_features(self, texts):
        return np.array([[text.count(letter) for letter in "rgb"] for text in texts], np.float32)


def samples(number=300, d_in=24, seed=5):
    """Return rows away from the origin with clearly different variances, randomly rotated."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.standard_normal((d_in, d_in)))[0]
    spread = rng.standard_normal((number, d_in)) * 0.8 ** np.arange(d_in)
    return (spread @ turn + rng.standard_normal(d_in)).astype(np.float32)


@pytest.fixture
def kept(tmp_path):
    """Return a reduction 24 → 6 and its file."""
    reduction = Reduction.pca([samples()], 6, source="Quelle ü")
    reduction.save(tmp_path / "kürzer.safetensors")
    return reduction, tmp_path / "kürzer.safetensors"


def test_pca_agrees_with_the_singular_vectors_of_the_centered_samples():
    rows = samples()
    reduction = Reduction.pca([rows], 6)
    exact = rows.astype(np.float64)
    centered = exact - exact.mean(axis=0)
    _, values, directions = np.linalg.svd(centered, full_matrices=False)
    cosines = np.abs((reduction.matrix * directions[:6].T).sum(axis=0))
    np.testing.assert_allclose(cosines, 1, atol=1e-6)
    np.testing.assert_allclose(reduction.mean, exact.mean(axis=0), atol=1e-6)
    assert reduction.kept == pytest.approx((values[:6] ** 2).sum() / (values**2).sum())
    reduced = reduction.apply(rows)
    np.testing.assert_allclose(np.abs(reduced), np.abs(centered @ directions[:6].T), atol=1e-5)
    assert (reduced.dtype, reduced.shape, reduced.flags.c_contiguous) == (
        np.float32,
        (300, 6),
        True,
    )


def test_pca_of_samples_on_a_line_is_their_position():
    # mean (3, 4); the deviations are -5, 0, 5 and 0 times (0.6, 0.8), and zero orthogonal to it
    rows = np.array([[0, 0], [3, 4], [6, 8], [3, 4]], np.float32)
    reduction = Reduction.pca([rows], 1)
    np.testing.assert_allclose(reduction.matrix, [[0.6], [0.8]], atol=1e-6)
    np.testing.assert_allclose(reduction.apply(rows), [[-5], [0], [5], [0]], atol=1e-5)
    assert reduction.kept == pytest.approx(1)
    back = reduction.apply(rows) @ reduction.matrix.T + reduction.mean
    np.testing.assert_allclose(back, rows, atol=1e-5)


def test_explained_is_the_share_of_the_variance():
    # the variances are (4 + 4) / 4 = 2 and (1 + 1) / 4 = 0.5; the larger is 0.8 of both
    reduction = Reduction.pca([np.array([[2, 0], [-2, 0], [0, 1], [0, -1]], np.float32)], 1)
    assert reduction.kept == pytest.approx(0.8)
    np.testing.assert_allclose(reduction.matrix, [[1], [0]], atol=1e-6)  # not -1
    assert (reduction.kind, reduction.samples, reduction.seed) == ("pca", 4, 0)


def test_streamed_fit_equals_a_single_batch():
    rows = samples()
    whole = Reduction.pca([rows], 6)
    parts = Reduction.pca((part for part in np.split(rows, [1, 8, 8, 250])), 6)
    np.testing.assert_allclose(parts.matrix, whole.matrix, atol=1e-6)
    np.testing.assert_allclose(parts.mean, whole.mean, atol=1e-6)
    assert parts.samples == whole.samples == 300


@pytest.mark.parametrize(
    ("batches", "dim", "message"),
    [
        ([samples()], 25, "vectors of 24 dimensions to 25; give 1 to 24"),
        ([samples()], 0, "to 0; give"),
        ([samples(5)], 6, "6 vectors or more: 5 vectors"),
        ([], 6, "0 vectors"),
        ([np.full((40, 8), 0.1, np.float32)], 2, "samples are equal"),
        ([samples(), samples(d_in=25)], 6, r"\(300, 25\), not \(n, 24\)"),
        ([samples()[0]], 6, r"\(24,\), not \(n, d\)"),
    ],
)
def test_pca_rejects_unsuitable_samples(batches, dim, message):
    with pytest.raises(ConfigError, match=message):
        Reduction.pca(batches, dim)


def test_non_finite_sample_raises():
    rows = samples()
    rows[7, 3] = np.nan
    with pytest.raises(EncoderError, match="NaN"):
        Reduction.pca([rows], 6)


def test_random_matrix_depends_on_its_seed():
    reduction = Reduction.random(8, 4, seed=11, source="Quelle ü")
    drawn = np.random.Generator(np.random.PCG64(11)).standard_normal((8, 4))
    np.testing.assert_array_equal(reduction.matrix, (drawn / 2).astype(np.float32))  # root of 4
    assert not reduction.mean.any()
    assert (reduction.kind, reduction.seed, reduction.samples) == ("random", 11, 0)
    assert reduction.digest == Reduction.random(8, 4, seed=11, source="Quelle ü").digest
    others = [(8, 4, 12, "Quelle ü"), (8, 3, 11, "Quelle ü"), (8, 4, 11, "")]
    for d_in, dim, seed, source in others:
        assert Reduction.random(d_in, dim, seed=seed, source=source).digest != reduction.digest


def test_random_matrix_approximately_keeps_distances():
    rows = unit(np.random.default_rng(3).standard_normal((40, 1000)).astype(np.float32))
    reduced = Reduction.random(1000, 256).apply(rows)
    one, other = np.triu_indices(40, 1)
    before = ((rows[one] - rows[other]) ** 2).sum(axis=1)
    after = ((reduced[one] - reduced[other]) ** 2).sum(axis=1)
    # each ratio is a chi-squared mean of 256: its standard deviation is sqrt(2 / 256) = 0.088
    assert (after / before).mean() == pytest.approx(1, abs=0.05)
    np.testing.assert_allclose(after / before, 1, atol=5 * 0.088)


@pytest.mark.parametrize(("d_in", "dim", "seed"), [(8, 9, 1), (8, 0, 1), (8, 4, -1)])
def test_random_rejects_invalid_dimensions(d_in, dim, seed):
    with pytest.raises(ConfigError):
        Reduction.random(d_in, dim, seed=seed)


def test_saved_reduction_is_loaded_with_the_same_digest(kept, tmp_path):
    reduction, file = kept
    again = Reduction.load(str(file))
    for name in ("matrix", "mean"):
        np.testing.assert_array_equal(getattr(again, name), getattr(reduction, name))
    for name in ("kind", "seed", "samples", "source", "kept", "digest", "d_in", "dim"):
        assert getattr(again, name) == getattr(reduction, name), name
    again.save(tmp_path / "copy.safetensors")
    assert (tmp_path / "copy.safetensors").read_bytes() == file.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy.safetensors", file.name]


def test_save_error_names_the_path(kept, tmp_path):
    reduction, _ = kept
    for name in ("no folder/a.safetensors", "a.npz"):
        with pytest.raises(ConfigError, match=r"a\."):
            reduction.save(tmp_path / name)
    (tmp_path / "d.safetensors").mkdir()
    with pytest.raises(ConfigError, match="cannot be written"):
        reduction.save(tmp_path / "d.safetensors")
    assert not list(tmp_path.glob(".*"))


def file_of(matrix, mean, *, metadata=True, **about):
    text = json.dumps({**ABOUT, **about}) if metadata is True else metadata
    tensors = {"matrix": np.asarray(matrix), "mean": np.asarray(mean)}
    return save_tensors(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        metadata=None if text is None else {"reduction": text},
    )


EYE, ZEROS = np.eye(3, 2, dtype=np.float32), np.zeros(3, np.float32)
BAD = {
    "is empty": b"",
    "a web page": b"<!DOCTYPE html><p>404",
    "Git LFS": b"version https://git-lfs.github.com/spec/v1\n",
    "an image": b"\x89PNG\r\n\x1a\n and more",
    "not a safetensors file": b"text that is none of these",
    "it has 1 ": save_tensors({"features.weight": np.zeros((3, 2), np.float32)}),
    "it has 3 ": save_tensors({"matrix": EYE, "mean": ZEROS, "more": ZEROS}),
    "mean F64": file_of(EYE, ZEROS.astype(np.float64)),
    "as long as": file_of(EYE, np.zeros(2, np.float32)),
    "dim <= d_in": file_of(EYE.T, np.zeros(2, np.float32)),
    r"shape \(3,\)": file_of(ZEROS, ZEROS),
    "NaN or": file_of(EYE * np.nan, ZEROS),
    "or infinity": file_of(EYE, ZEROS + np.inf),
    "metadata are missing": file_of(EYE, ZEROS, metadata=None),
    "its metadata are": file_of(EYE, ZEROS, metadata="ü{"),
    "are missing": file_of(EYE, ZEROS, metadata="[]"),
    "kind is 'ica'": file_of(EYE, ZEROS, kind="ica"),
    "invalid seed, samples": file_of(EYE, ZEROS, seed="7", samples=None),
}


@pytest.mark.parametrize("message", BAD)
def test_error_describes_a_file_of_another_kind(message, tmp_path):
    file = tmp_path / "ü.safetensors"
    file.write_bytes(BAD[message])
    with pytest.raises(WeightsInvalid, match=message):
        Reduction.load(file)


def test_reduction_with_another_suffix_raises(kept, tmp_path):
    other = kept[1].rename(tmp_path / "kürzer.bin")
    with pytest.raises(WeightsInvalid, match=r"rename it to kürzer\.safetensors"):
        Reduction.load(other)
    other.write_bytes(b"text that is none of these")
    with pytest.raises(WeightsInvalid, match="not a safetensors file"):
        Reduction.load(other)


def test_missing_file_and_folder_have_different_errors(tmp_path):
    with pytest.raises(WeightsNotFound, match="`imgsearch reduce`"):
        Reduction.load(tmp_path / "none.safetensors")
    with pytest.raises(WeightsInvalid, match="folder"):
        Reduction.load(tmp_path)


def test_truncated_or_changed_file_is_rejected_or_another_reduction(tmp_path):
    file = tmp_path / "a.safetensors"
    Reduction.random(3, 2, seed=1, source="ü").save(file)
    data = file.read_bytes()
    digest = Reduction.load(file).digest
    for length in range(len(data)):
        file.write_bytes(data[:length])
        with pytest.raises(WeightsInvalid):
            Reduction.load(file)
    refused = 0
    for place in range(len(data)):
        file.write_bytes(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :])
        try:
            assert Reduction.load(file).digest != digest
        except WeightsInvalid:
            refused += 1
    assert refused > 100  # most bits of the header


def test_mismatched_arrays_are_rejected():
    with pytest.raises(ConfigError, match="as long as"):
        Reduction("pca", np.eye(3, 2, dtype=np.float32), np.zeros(2, np.float32))


def test_missing_safetensors_names_the_extra(kept, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for act in (
        lambda: kept[0].save(kept[1]),
        lambda: Reduction.load(kept[1]),
        lambda: Reduction.pca(iter(()), 6),  # raised before a sample is read
    ):
        with pytest.raises(MissingExtra, match=r"pip install '\.\[torch\]'"):
            act()


def test_rows_of_another_length_are_rejected(kept):
    for rows in (np.zeros((2, 23), np.float32), np.zeros(24, np.float32)):
        with pytest.raises(EncoderMismatch, match="vectors of 24 dimensions"):
            kept[0].apply(rows)


def test_reduction_fitted_for_another_encoder_is_rejected():
    own = ClassicEncoder.fingerprint
    own_source = encoder_source(replace(own, runtime="another machine's"))
    assert (
        ReducedEncoder(ClassicEncoder(), Reduction.random(own.dim, 8, source=own_source)).dim == 8
    )
    # a random reduction fits any encoder
    assert ReducedEncoder(ClassicEncoder(), Reduction.random(own.dim, 8)).dim == 8
    for name in ("model", "weights", "preprocessing", "options"):
        other = encoder_source(replace(own, **{name: "größer"}))
        with pytest.raises(EncoderMismatch, match="`imgsearch reduce`"):
            ReducedEncoder(ClassicEncoder(), Reduction.random(own.dim, 8, source=other))
    with pytest.raises(EncoderMismatch, match="of 700 dimensions by any encoder, not for classic"):
        ReducedEncoder(ClassicEncoder(), Reduction.random(700, 8))


def test_vectors_are_not_reduced_twice():
    once = ReducedEncoder(Words(), Reduction.random(3, 2))
    with pytest.raises(ConfigError, match="already"):
        ReducedEncoder(once, Reduction.random(2, 1))


def test_reduced_encoder_has_short_unit_vectors_and_its_own_fingerprint():
    inner, pictures = ClassicEncoder(), [picture(seed) for seed in range(12)]
    long = inner.encode(pictures)
    reduction = Reduction.pca([long], 5, source=encoder_source(inner.fingerprint))
    encoder = ReducedEncoder(inner, reduction)
    vectors = encoder.encode(pictures)
    assert (vectors.shape, encoder.dim) == ((12, 5), 5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    by_hand = (long - reduction.mean) @ reduction.matrix
    by_hand /= np.linalg.norm(by_hand, axis=1, keepdims=True)
    np.testing.assert_allclose(vectors, by_hand, atol=1e-5)
    expected = replace(inner.fingerprint, dim=5, reduction=reduction.digest)
    assert encoder.fingerprint == expected != inner.fingerprint


def test_texts_are_reduced_like_images():
    # the matrix drops b; "ein rrb" has r, g, b = 2, 0, 1 and "rrb rg" has 3, 1, 1
    reduction = Reduction("pca", np.eye(3, 2, dtype=np.float32), np.zeros(3, np.float32))
    encoder = ReducedEncoder(Words(), reduction)
    first, second = np.array([1.0, 0.0]), np.array([3.0, 1.0]) / np.sqrt(10)
    mean = (first + second) / np.linalg.norm(first + second)
    np.testing.assert_allclose(encoder.encode_texts(["rrb"]), [mean], atol=1e-6)
    assert (encoder.batch_size, encoder.enough, encoder.languages) == (7, 5, ("de",))
    assert encoder.templates == ("ein {}", "{} rg")


def test_reduced_encoder_accepts_texts_only_if_its_encoder_does():
    encoder = ReducedEncoder(ClassicEncoder(), Reduction.random(ClassicEncoder.fingerprint.dim, 8))
    with pytest.raises(TextUnsupported):
        encoder.encode_texts(["größer"])


def test_command_fits_a_reduction_for_a_library(tmp_path, monkeypatch):
    gallery = tmp_path / "bilder"
    write(gallery, 12)
    (gallery / "kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    monkeypatch.chdir(tmp_path)
    command = ["reduce", "bilder", "--model", "classic", "--dim", "6", "--to", "ü.safetensors"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "722 → 6 dimensions, fitted to 12 images" in done.output
    assert CliRunner().invoke(cli, command).exit_code == 1  # the file exists
    assert CliRunner().invoke(cli, [*command, "--force", "--method", "random"]).exit_code == 0
    assert CliRunner().invoke(cli, [*command[:-1], "x.txt"]).exit_code == 1
    options = {"reduction": "ü.safetensors"}
    with imgsearch.open("k.db", model="classic", options=options) as library:
        library.add(gallery)
        assert library.collection.schema.dim == 6
    monkeypatch.chdir(gallery)  # the library stores the file's absolute path
    with imgsearch.open(str(tmp_path / "k.db")) as library:
        hits = library.search("bild-ü 0003.png", k=1)
        assert hits[0].score == pytest.approx(1, abs=1e-5)
        assert hits[0].fields["path"].endswith("bild-ü 0003.png")


def test_operator_reduces_vectors_in_a_pipeline(tmp_path):
    Reduction.random(4, 2, seed=1).save(tmp_path / "r.safetensors")
    step = imgsearch.op("vector_reduce", file=str(tmp_path / "r.safetensors"))
    matrix = Reduction.random(4, 2, seed=1).matrix
    with closing(Pipeline.input("v").map("v", "w", step).returning("w")) as pipeline:
        got = pipeline(np.array([1, 0, 0, 0], np.float32))[0]["w"]
        np.testing.assert_allclose(got, matrix[0] / np.linalg.norm(matrix[0]), atol=1e-6)
        with pytest.raises(EncoderError, match="zero"):
            pipeline(np.zeros(4, np.float32))


def test_recipes_store_absolute_paths(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = Recipe.of("classic", options={"reduction": "r.safetensors"})
    assert recipe.options == {"reduction": str(tmp_path / "r.safetensors")}


@pytest.mark.skipif(not MOBILENET.is_file(), reason="no ../shared/weights at hand")
@pytest.mark.skipif(not GALLERY.is_dir(), reason="no ../shared/data/imagenet-subset at hand")
def test_vectors_of_a_real_model_keep_the_reported_variance():
    if importlib.util.find_spec("timm") is None:
        pytest.skip("timm's models need the extra torch")
    from imgsearch.encoders.timm.encoder import TimmEncoder

    options = {"pad_type": "same", "mean": 0.5, "std": 0.5, "interpolation": "bilinear"}
    inner = TimmEncoder("mobilenetv2_100", weights=MOBILENET, options=options)
    # fitted only on the gallery, because a fit on test images would improve their figures
    paths = sorted(GALLERY.rglob("*.JPEG"))[::25]
    long = inner.encode([images.decode(path.read_bytes(), path=str(path)) for path in paths])
    source = encoder_source(inner.fingerprint)
    reduction = Reduction.pca(np.array_split(long, 3), 16, source=source)
    kept = reduction.apply(long).astype(np.float64).var(axis=0).sum()
    assert kept / long.astype(np.float64).var(axis=0).sum() == pytest.approx(
        reduction.kept, abs=1e-5
    )
    vectors = ReducedEncoder(inner, reduction).encode([picture(2, (300, 240))])
    assert (vectors.shape, float(np.linalg.norm(vectors))) == ((1, 16), pytest.approx(1, abs=1e-6))
    with pytest.raises(EncoderMismatch, match="mobilenetv2_100"):
        ReducedEncoder(ClassicEncoder(), reduction)

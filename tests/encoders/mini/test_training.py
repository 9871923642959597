"""The training of mini, on a few drawn pictures in repositories that the tests make."""

import importlib.util
import json
import logging
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from imgsearch.errors import ConfigError, SourceError

if importlib.util.find_spec("timm") is None:
    pytest.skip("mini is trained with the extra torch", allow_module_level=True)

import torch

from imgsearch.encoders.mini.training import __main__ as command
from imgsearch.encoders.mini.training import overlap, teacher, validation
from imgsearch.encoders.mini.training.augment import augmented
from imgsearch.encoders.mini.training.distil import Distillation, Schedule
from imgsearch.encoders.mini.training.network import MiniNetwork, scaled
from imgsearch.encoders.mini.training.packed import Packed, Together, squared
from imgsearch.encoders.mini.training.sources import SETS, TrainingSet
from imgsearch.encoders.reduction import Reduction
from tests.pictures import picture

KNOWN = TrainingSet("käfer", "https://example.org/x", "", "CC0", 1, "drawn")


def clone(folder, files):
    """Make a bare repository of files {path: bytes}."""
    work = folder.with_name(f"{folder.name}-work")
    for path, content in files.items():
        (work / path).parent.mkdir(parents=True, exist_ok=True)
        (work / path).write_bytes(content)
    for words in (
        ["init", "--quiet", "."],
        ["add", "--all"],
        ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "--quiet", "-m", "x"],
        ["clone", "--quiet", "--bare", ".", str(folder)],
    ):
        subprocess.run(["git", *words], cwd=work, check=True, capture_output=True)
    return folder


def png(pixels):
    import io

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def repository(tmp_path):
    files = {f"train/{'ab'[n % 2]}/bild ü {n:02d}.png": png(picture(n)) for n in range(20)}
    files |= {
        "train/a/kaputt.jpg": b"\xff\xd8\xff",
        "README.md": b"x",
        "val/images/v.png": png(picture(3)),
    }
    return clone(tmp_path / "käfer.git", files)


def test_a_repository_is_packed_once_with_what_its_paths_say(repository, tmp_path):
    packed = Packed.of(KNOWN, repository, tmp_path / "packed")
    assert len(packed) == 21
    assert packed.pixels.shape == (21, 64, 64, 3)
    assert set(packed.labels) == {"a", "b", ""}
    place = packed.paths.index("train/b/bild ü 07.png")
    np.testing.assert_array_equal(packed.pixels[place], squared(png(picture(7))))
    again = Packed.of(KNOWN, tmp_path / "gone.git", tmp_path / "packed")
    assert again.digests == packed.digests
    with pytest.raises(SourceError, match="not the repository"):
        Packed.of(KNOWN, tmp_path / "gone.git", tmp_path / "elsewhere")


def test_together_gives_rows_of_several_arrays_in_order():
    parts = [np.arange(3) * 10, np.arange(2) * 100, np.arange(4) + 7]
    together = Together(parts)
    assert len(together) == 9
    assert together[np.array([0, 2, 3, 4, 8])].tolist() == [0, 20, 0, 100, 10]


def test_what_an_evaluation_shows_is_found_again():
    random = np.random.default_rng(3)
    images = [squared(png(picture(number))) for number in range(30)]
    shown = [images[4], np.ascontiguousarray(images[9][:, ::-1])]
    vectors = teacher.unit_rows(random.normal(size=(30, 8)))
    others = teacher.unit_rows(random.normal(size=(2, 8)))
    found = overlap.overlaps(np.stack(images), vectors, shown, others)
    assert {4, 9} <= set(np.flatnonzero(found))
    nearly = vectors.copy()
    nearly[20] = others[0]  # a teacher that is sure
    assert overlap.overlaps(np.stack(images), nearly, shown, others)[20]


def test_a_dhash_is_what_its_rows_say():
    pixels = np.zeros((8, 9, 3), np.uint8)
    pixels[0] = np.arange(9, dtype=np.uint8)[:, None] * 20  # brighter to the right: eight ones
    assert overlap.dhash(pixels) == 0xFF << 56
    assert overlap.dhash(pixels[:, ::-1].copy()) == 0


def test_precision_by_hand():
    vectors = teacher.unit_rows(np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]]))
    # of three others each, one has the own label
    assert validation.precision_at_10(vectors, ["a", "a", "ä", "ä"]) == pytest.approx(1 / 3)
    held = validation.held_out(["", "a", "b"] * 40, seed=1)
    assert len(held) == 8
    assert all(row % 3 for row in held)


def test_augmented_images_are_images_and_the_same_for_the_same_seed():
    pixels = torch.from_numpy(np.stack([squared(png(picture(n))) for n in range(8)]))
    pixels = pixels.permute(0, 3, 1, 2)
    made = augmented(pixels, torch.Generator().manual_seed(2))
    assert made.shape == (8, 3, 64, 64)
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.equal(made, augmented(pixels, torch.Generator().manual_seed(2)))
    assert not torch.equal(made, augmented(pixels, torch.Generator().manual_seed(3)))


def test_the_network_is_within_its_budget():
    from torch.utils.flop_counter import FlopCounterMode

    network = MiniNetwork().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made = network(scaled(torch.zeros((2, 3, 64, 64), dtype=torch.uint8)))
    assert made.shape == (2, 256)
    assert counter.get_total_flops() / 2 == pytest.approx(145e6, rel=0.01)
    assert sum(each.numel() for each in network.parameters()) == pytest.approx(5.25e6, rel=0.01)


@pytest.fixture
def lesson():
    """Twenty pictures, and what a teacher of random numbers makes of them."""
    random = np.random.default_rng(5)
    images = np.stack([squared(png(picture(number))) for number in range(20)])
    features = random.normal(size=(20, 24)).astype(np.float16)
    targets = Reduction.pca([teacher.unit_rows(features)], 8)
    return Together([images]), Together([features]), targets, np.arange(20)


def learned(lesson, folder, **schedule):
    return Distillation(*lesson, folder, Schedule(batch=10, warm_up=2, **schedule))


def test_it_learns_and_goes_on_where_it_was(lesson, tmp_path):
    whole = learned(lesson, tmp_path / "a", epochs=20)
    figures = list(whole.run())
    assert len(figures) == 40
    assert figures[-1]["cosine"] > figures[0]["cosine"] + 0.2
    broken = learned(lesson, tmp_path / "b", epochs=20)
    steps = broken.run()
    for _ in range(15):
        next(steps)
    broken._keep()
    steps.close()
    rest = learned(lesson, tmp_path / "b", epochs=20)
    assert rest.step == 15
    assert len(list(rest.run())) == 25
    np.testing.assert_allclose(rest.vectors(np.arange(20)), whole.vectors(np.arange(20)), atol=2e-2)
    with pytest.raises(ConfigError, match="another schedule"):
        learned(lesson, tmp_path / "b", epochs=3)
    with pytest.raises(ConfigError, match="less than a batch"):
        Distillation(*lesson[:3], np.arange(4), tmp_path / "c", Schedule(batch=10))


def test_the_command_leaves_weights_and_a_report(tmp_path, monkeypatch):
    from safetensors.torch import load_file

    pictures = {known.name: range(start, 250, 4) for start, known in enumerate(SETS)}
    for known in SETS:
        place = "train/{}" if known.label == 1 else "tiny-imagenet-200/train/{}/images"
        files = {
            f"{place.format('ab'[number % 2])}/{number}.png": png(picture(number))
            for number in pictures[known.name]
        }
        clone(tmp_path / "clones" / f"{known.name}.git", files)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/ein Bild.png").write_bytes(png(picture(8)))
    here = [TrainingSet(s.name, s.repository, "", s.licence, s.label, s.about) for s in SETS]
    words = ["--clones", tmp_path / "clones", "--teacher", "classic"]
    words += ["--to", tmp_path / "aus"]
    words += ["--evaluation", tmp_path / "eval", "--epochs", "2", "--batch", "32"]
    monkeypatch.setattr(command, "SETS", tuple(here))
    monkeypatch.setattr(command, "_DIM", 16)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    done = CliRunner().invoke(command.train, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "aus/report.json").read_text())
    assert report["left_out"] >= 1
    assert "8.png" in (tmp_path / "aus/left_out.txt").read_text()
    assert 0 <= report["precision@10"] <= 1
    state = load_file(tmp_path / "aus/mini.safetensors")
    MiniNetwork(16).load_state_dict(state, strict=True)

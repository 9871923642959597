"""The training of mini, on a few drawn pictures in repositories that the tests make."""

import importlib.util
import json
import logging
import math
import shutil
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from imgsearch.errors import ConfigError, SourceError, WeightsInvalid

if importlib.util.find_spec("timm") is None:
    pytest.skip("mini is trained with the extra torch", allow_module_level=True)

import torch
from safetensors.torch import save_file

from imgsearch.encoders.frameworks import frameworks
from imgsearch.encoders.mini.training import __main__ as command
from imgsearch.encoders.mini.training import (
    export,
    image_side,
    overlap,
    start,
    teacher,
    texts,
    validation,
)
from imgsearch.encoders.mini.training.augment import augmented
from imgsearch.encoders.mini.training.distil import Distillation, Schedule
from imgsearch.encoders.mini.training.instance import (
    InstanceHead,
    InstanceLesson,
    InstanceSchedule,
    changed,
)
from imgsearch.encoders.mini.training.network import MiniNetwork, scaled
from imgsearch.encoders.mini.training.packed import Packed, Together, squared
from imgsearch.encoders.mini.training.sources import NAMED, SETS, TrainingSet
from imgsearch.encoders.mini.words import Words
from imgsearch.encoders.reduction import Reduction
from tests.encoders.mini import sentences
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
    assert packed.pixels.shape == (21, 80, 80, 3)
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
    small = [images[4], np.ascontiguousarray(images[9][:, ::-1])]
    shown = overlap.Shown(frozenset(), small, small, overlap.greys(small))
    vectors = teacher.unit_rows(random.normal(size=(30, 8)))
    others = teacher.unit_rows(random.normal(size=(2, 8)))
    found = overlap.overlaps(np.stack(images), vectors, shown, others)
    assert {4, 9} <= set(np.flatnonzero(found))
    nearly = vectors.copy()
    nearly[20] = others[0]  # a teacher that is sure
    assert overlap.overlaps(np.stack(images), nearly, shown, others)[20]


def test_an_evaluation_s_image_is_found_however_it_was_made_small(tmp_path):
    """A dhash of 64 bits missed a third of those in tiny-imagenet."""
    wide = Image.fromarray(picture(7)).resize((500, 320)).crop((30, 20, 470, 300))
    (tmp_path / "breit ü.jpg").write_bytes(b"")
    wide.save(tmp_path / "breit ü.jpg", quality=80)
    shown = overlap.shown([tmp_path])
    middle = wide.crop((80, 0, 360, 280)).resize((64, 64), Image.Resampling.BILINEAR)
    forms = [middle, wide.resize((84, 84), Image.Resampling.LANCZOS), Image.fromarray(picture(8))]
    packed = np.stack([squared(png(np.asarray(each))) for each in forms])
    none = teacher.unit_rows(np.eye(8))
    assert overlap.overlaps(packed, none[:3], shown, none[3:5]).tolist() == [True, True, False]


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
    assert made.shape == (8, 3, 80, 80)
    small = augmented(pixels, torch.Generator().manual_seed(2), edge=64)
    assert small.shape == (8, 3, 64, 64)
    assert made.min() >= 0
    assert made.max() <= 1
    assert torch.equal(made, augmented(pixels, torch.Generator().manual_seed(2)))
    assert not torch.equal(made, augmented(pixels, torch.Generator().manual_seed(3)))


def test_the_network_is_within_its_budget():
    from torch.utils.flop_counter import FlopCounterMode

    network = MiniNetwork().eval()
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        made = network(scaled(torch.zeros((2, 3, 80, 80), dtype=torch.uint8)))
    assert made.shape == (2, 256)
    multiply_adds = counter.get_total_flops() / 2 / 2  # it counts both of each of two images
    assert multiply_adds == pytest.approx(120.5e6, rel=0.01)
    assert sum(each.numel() for each in network.parameters()) == pytest.approx(5.25e6, rel=0.01)


@pytest.fixture
def lesson():
    """Twenty pictures, and what a teacher of random numbers makes of them."""
    random = np.random.default_rng(5)
    images = np.stack([squared(png(picture(number))) for number in range(20)])
    features = random.normal(size=(20, 24)).astype(np.float16)
    targets = Reduction.pca([teacher.unit_rows(features)], 8)
    return Together([images]), Together([features]), targets, np.arange(20)


def learned(lesson, folder, again=0, **schedule):
    return Distillation(*lesson, folder, Schedule(batch=10, warm_up=2, again=again, **schedule))


def test_it_learns_and_goes_on_where_it_was(lesson, tmp_path):
    whole = learned(lesson, tmp_path / "a", epochs=8)
    figures = list(whole.run())
    assert len(figures) == 16
    assert figures[-1]["cosine"] > figures[0]["cosine"] + 0.05
    broken = learned(lesson, tmp_path / "b", epochs=8)
    steps = broken.run()
    for _ in range(10):
        next(steps)
    broken._keep()
    steps.close()
    rest = learned(lesson, tmp_path / "b", epochs=8)
    assert rest.step == 10
    assert len(list(rest.run())) == 6
    np.testing.assert_allclose(rest.vectors(np.arange(20)), whole.vectors(np.arange(20)), atol=2e-2)
    with pytest.raises(ConfigError, match="another schedule"):
        learned(lesson, tmp_path / "b", epochs=3)
    with pytest.raises(ConfigError, match="less than a batch"):
        Distillation(*lesson[:3], np.arange(4), tmp_path / "c", Schedule(batch=10))


def test_it_goes_down_from_a_second_rate_with_all_pixels(lesson, tmp_path):
    rates = [each["rate"] for each in learned(lesson, tmp_path, epochs=3, again=2).run()]
    down = [0.99 * 0.5 * (1 + math.cos(math.pi * share)) + 0.01 for share in np.arange(6) / 6]
    assert rates[:6] == pytest.approx([3e-3 * min(1, n / 2) * d for n, d in enumerate(down, 1)])
    again = [0.99 * 0.5 * (1 + math.cos(math.pi * share)) + 0.01 for share in np.arange(4) / 4]
    assert rates[6:] == pytest.approx([1e-3 * each for each in again])


def short(seed):
    return InstanceSchedule(images=60, steps=5, batch=32, seed=seed)


@pytest.mark.nightly
@pytest.mark.timeout(1_200)
def test_the_command_leaves_what_is_shipped(tmp_path, monkeypatch):
    """All of it, on drawn pictures: a small timm model teaches, a BERT of random weights, too."""
    pytest.importorskip("transformers")
    onnxruntime = pytest.importorskip("onnxruntime")
    told = [
        TrainingSet(s.name, s.repository, "", s.licence, s.label, s.about, s.folder)
        for s in (*SETS, NAMED[1])
    ]
    for first, known in enumerate(told):
        place = "tiny-imagenet-200/train/{}/images" if known.label == 2 else "train/{}"
        place = "test/{}" if known.folder else place
        files = {
            f"{place.format(('wald', 'meer')[number % 2])}/{number}.png": png(picture(number))
            for number in range(first, 250, 5)
        }
        files[texts.DICTIONARY] = "wald\tHund, Dackel\nmeer\tein\nn1\tKäfer\n".encode()
        clone(tmp_path / "clones" / f"{known.name}.git", files)
    (tmp_path / "eval").mkdir()
    (tmp_path / "eval/ein Bild.png").write_bytes(png(picture(5)))
    (tmp_path / "names.txt").write_text("background\nein\nhund, Dackel\nrose\nboot\n")
    rows = [{"image_id": n, "caption": f"ein roter hund im boot {n}"} for n in range(9)]
    (tmp_path / "captions.json").write_text(json.dumps({"annotations": rows}))
    sentences.write(tmp_path / "sentences")
    torch.manual_seed(1)
    model = frameworks()[1].create_model("test_resnet", num_classes=4)
    save_file(model.state_dict(), tmp_path / "lehrer.safetensors")
    words = ["--clones", tmp_path / "clones", "--teacher", "timm:test_resnet"]
    words += ["--weights", tmp_path / "lehrer.safetensors", "--classifier", "fc.weight"]
    words += ["--option", "runtime=torch", "--option", "mean=0.5"]
    words += ["--names", tmp_path / "names.txt", "--captions", tmp_path / "captions.json"]
    words += ["--sentences", tmp_path / "sentences", "--to", tmp_path / "aus"]
    words += ["--evaluation", tmp_path / "eval", "--epochs", "2", "--again", "1", "--batch", "32"]
    monkeypatch.setattr(image_side, "SETS", tuple(told[:-1]))
    monkeypatch.setattr(texts, "SETS", tuple(told[:-1]))
    monkeypatch.setattr(command, "NAMED", (told[1], told[-1]))
    monkeypatch.setattr(image_side, "_DIM", 16)
    monkeypatch.setattr(image_side, "InstanceSchedule", short)
    for name in ("_SURE", "_COSINE"):  # a teacher of random weights finds all images alike
        monkeypatch.setattr(overlap, name, 1.1)
    monkeypatch.setattr(logging.getLogger(), "handlers", [])
    done = CliRunner().invoke(command.train, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    report = json.loads((tmp_path / "aus/report.json").read_text())
    assert report["left_out"] >= 1
    assert "5.png" in (tmp_path / "aus/left_out.txt").read_text()
    assert 0 <= report["precision@10"] <= 1
    shipped = onnxruntime.InferenceSession(tmp_path / "aus/image.onnx")
    pixels = np.stack([squared(png(picture(number))) for number in range(3)])
    made = shipped.run(None, {"batch": pixels})[0]
    assert made.shape == (3, 16 + 128)
    table = Words(tmp_path / "aus/text.npz")
    assert table.vectors(["zwei Boots", "der Wald", "ein Dackel"]).shape == (3, 16)
    assert table.unknown("ein Schloss") == ("schloss",)
    onward = [*words, "--start", tmp_path / "aus/image.onnx", "--names-from", "0"]
    shutil.copytree(tmp_path / "aus/packed", tmp_path / "weiter/packed")
    onward[onward.index(tmp_path / "aus")] = tmp_path / "weiter"
    done = CliRunner().invoke(command.train, [str(word) for word in onward])
    assert done.exit_code == 0, done.output
    assert (tmp_path / "weiter/image.onnx").stat().st_size > 5e6


@pytest.fixture
def trained():
    """A network as training may leave it, the names' places, and images for it."""
    torch.manual_seed(4)
    network = MiniNetwork(32)
    for part in network.modules():
        if isinstance(part, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(part.weight, 0.5, 1)
            torch.nn.init.normal_(part.bias, 0, 0.1)
            part.running_var.uniform_(0.5, 2)
            part.running_mean.normal_(0, 0.1)
    places = teacher.unit_rows(np.random.default_rng(2).normal(size=(200, 32)))
    return network.eval(), places, np.stack([squared(png(picture(n))) for n in range(6)])


def test_the_shipped_network_is_the_trained_one_within_eight_bits(trained, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    network, places, pixels = trained
    head = InstanceHead().eval()
    export.write_images(network, head, places, tmp_path / "image.onnx")
    made = onnxruntime.InferenceSession(tmp_path / "image.onnx").run(None, {"batch": pixels})[0]
    with torch.no_grad():
        images = scaled(torch.from_numpy(pixels).permute(0, 3, 1, 2))
        said = teacher.unit_rows(network(images).numpy())
        shares = np.exp(12 * said @ places.T)
        kind = teacher.unit_rows(said + teacher.unit_rows(shares @ places))
        own = teacher.unit_rows(head(network.levels(images)).numpy())
    assert made.shape == (6, 32 + 128)
    np.testing.assert_allclose(np.linalg.norm(made, axis=1), 1, atol=1e-5)
    assert (made[:, :32] * kind).sum(axis=1).min() > 0.9999 * 0.7**0.5
    assert (made[:, 32:] * own).sum(axis=1).min() > 0.9999 * 0.3**0.5
    assert (tmp_path / "image.onnx").stat().st_size < 6e6


def test_a_shipped_network_is_read_back_to_be_trained_on(trained, tmp_path):
    network, places, pixels = trained
    export.write_images(network, InstanceHead().eval(), places, tmp_path / "image.onnx")
    images = scaled(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    turn = np.linalg.qr(np.random.default_rng(3).normal(size=(32, 32)))[0].astype(np.float32)
    begun = start.read(tmp_path / "image.onnx", places @ turn, images)
    with torch.no_grad():
        said, again = (teacher.unit_rows(each(images).numpy()) for each in (network, begun))
        by_batch = teacher.unit_rows(begun.train()(images).numpy())
    said = said @ turn  # as the targets are turned now
    assert (said * again).sum(axis=1).min() > 0.9999  # what it says is what was shipped
    assert (said * by_batch).sum(axis=1).min() > 0.999  # and also where norms go by the batch
    filters = begun.blocks[2].first.weight.detach().square().mean((1, 2, 3)).sqrt()
    np.testing.assert_allclose(filters, 0.15, rtol=1e-5)


def test_what_is_no_such_network_is_not_trained_on(trained, tmp_path):
    onnx = pytest.importorskip("onnx")
    network, places, pixels = trained
    images = scaled(torch.from_numpy(pixels).permute(0, 3, 1, 2))
    shipped, other = tmp_path / "image.onnx", tmp_path / "anderes.onnx"
    export.write_images(network, InstanceHead().eval(), places, shipped)
    with pytest.raises(WeightsInvalid, match="other targets"):
        start.read(shipped, places[::-1], images)
    other.write_bytes(b"kein Netz")
    with pytest.raises(WeightsInvalid, match="ONNX"):
        start.read(other, places, images)
    model = onnx.load(shipped)
    kept = [each for each in model.graph.node if each.op_type != "Conv"]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    onnx.save(model, other)
    with pytest.raises(WeightsInvalid, match="0 convolutions"):
        start.read(other, places, images)


def test_an_image_is_told_from_others_whatever_was_done_to_it(tmp_path):
    torch.manual_seed(2)
    images = Together([np.stack([squared(png(picture(number))) for number in range(48)])])
    schedule = InstanceSchedule(images=40, steps=60, batch=32, rate=5e-3)
    network = MiniNetwork(16).eval()
    levels = changed(network, images, np.arange(48), tmp_path / "levels.npy", schedule)
    assert levels.shape == (40, 3, 1840)
    again = changed(network, images, np.arange(48), tmp_path / "levels.npy", schedule)
    np.testing.assert_array_equal(again, levels)
    with torch.no_grad():
        pixels = torch.from_numpy(images[np.arange(2)]).permute(0, 3, 1, 2)
        made = network.levels(scaled(pixels))
        np.testing.assert_allclose(network(scaled(pixels)), network.kind(made), atol=1e-6)
    lesson = InstanceLesson(levels, InstanceHead(16), schedule)
    figures = list(lesson.run())
    assert len(figures) == 60
    first, last = (
        np.mean([each["found"] for each in part]) for part in (figures[:5], figures[-5:])
    )
    assert last > 1.5 * first
    assert not lesson.head.training

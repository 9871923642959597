"""Training of a tiny model: what is held out, better figures, interruptions, the written file."""

import importlib.util

import numpy as np
import pytest
from PIL import Image

import imgsearch
from imgsearch import encoders
from imgsearch.datasets import dataset
from imgsearch.encoders.timm import training as layers
from imgsearch.encoders.weights import trained as trained_files
from imgsearch.errors import ConfigError, DatasetError, WeightsInvalid, WeightsNotFound
from imgsearch.evaluation.training import TrainingOptions, split, train

if any(importlib.util.find_spec(name) is None for name in ("torch", "timm")):
    pytest.skip("training needs the extra torch", allow_module_level=True)

OPTIONS = TrainingOptions(epochs=2, layers=4, batch=16)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Return a file of random weights of a tiny ResNet."""
    from safetensors.torch import save_file

    from imgsearch.encoders.torch.imports import frameworks

    torch, timm = frameworks()
    torch.manual_seed(7)
    file = tmp_path_factory.mktemp("weights") / "größe.safetensors"
    save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), file)
    return file


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Write 4 classes of 15 images: stripes of two widths, upright or lying, in any colors."""
    folder = tmp_path_factory.mktemp("фото")
    rng = np.random.default_rng(3)
    for label in ("breit-h", "breit-v", "eng-h", "eng-v"):
        (folder / label).mkdir()
        width = 16 if label.startswith("breit") else 4
        for number in range(15):
            bands = (np.arange(96) + rng.integers(32)) // width % 2
            stripes = np.tile(bands, (96, 1)) if label.endswith("v") else np.tile(bands, (96, 1)).T
            colors = rng.integers(0, 256, (2, 3))
            pixels = colors[stripes] + rng.integers(-20, 20, (96, 96, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                folder / label / f"{number}.png"
            )
    return folder


@pytest.fixture(scope="module")
def result(photos, weights, tmp_path_factory):
    file = tmp_path_factory.mktemp("to") / "stripes.safetensors"
    return train(dataset.load(photos), "timm:test_resnet", file, weights=weights, options=OPTIONS)


def test_images_of_a_training_are_counted(result):
    assert (result.images, result.held_out) == (48, 12)  # 3 of each 15 are held out
    assert (len(result.losses), result.resumed, result.notes) == (2, 0, ())
    assert result.losses[1] < result.losses[0]
    assert result.before.subject.queries == result.after.subject.queries == 12
    assert not list(result.path.parent.glob(".*"))


def test_held_out_images_are_found_better_by_a_pretrained_model(tmp_path):
    """Stripes of four periods, in any direction and color, which the pretrained model mixes up."""
    rng = np.random.default_rng(3)
    rows, columns = np.mgrid[:128, :128]
    for period in (10, 12, 14, 17):
        (tmp_path / str(period)).mkdir()
        for number in range(15):
            angle = rng.random() * np.pi
            along = columns * np.cos(angle) + rows * np.sin(angle)
            waves = np.sin(2 * np.pi * along / period + rng.random() * 6) > 0
            pixels = rng.integers(0, 256, (2, 3))[waves.astype(int)]
            noisy = (pixels + rng.integers(-20, 20, (128, 128, 3))).clip(0, 255)
            Image.fromarray(noisy.astype(np.uint8)).save(tmp_path / f"{period}/{number}.png")
    file = tmp_path / "x.safetensors"
    options = TrainingOptions(epochs=4, batch=16)
    result = train(dataset.load(tmp_path), "tf_efficientnet_lite0", file, options=options)
    before, after = (run.measures.metrics["map@10"] for run in (result.before, result.after))
    assert after > before + 0.05
    assert encoders.load(str(file)).fingerprint.weights != result.before.encoder.weights


def test_written_file_is_a_model(result, photos, weights):
    encoder = encoders.load(str(result.path))
    assert encoder.fingerprint.model == "timm:test_resnet"
    base = encoders.load("timm:test_resnet", weights=weights)
    assert encoder.fingerprint.weights != base.fingerprint.weights
    with imgsearch.open("memory://trained", model=str(result.path)) as library:
        library.add(photos)
        assert library.recipe.model == "timm:test_resnet"
        assert library.recipe.weights == str(result.path)


def test_only_the_last_layers_change(result, weights):
    from safetensors.torch import load_file

    old, new = load_file(weights), load_file(result.path)
    assert set(old) == set(new)
    changed = {name for name in old if not old[name].equal(new[name])}
    assert changed
    assert all(name.startswith("layer4") for name in changed), changed
    assert not any("running" in name for name in changed)


def test_interrupted_training_gives_the_same_weights(photos, weights, tmp_path, monkeypatch):
    images = dataset.load(photos)
    options = TrainingOptions(epochs=2, layers=4, batch=16)
    arguments = {"weights": weights, "options": options}
    whole = train(images, "timm:test_resnet", tmp_path / "whole.safetensors", **arguments)
    assert (len(whole.losses), whole.resumed) == (2, 0)
    epoch = layers.Trainer.epoch

    def killed(self, number):
        if number == 1:
            raise KeyboardInterrupt
        return epoch(self, number)

    monkeypatch.setattr(layers.Trainer, "epoch", killed)
    file = tmp_path / "part.safetensors"
    with pytest.raises(KeyboardInterrupt):
        train(images, "timm:test_resnet", file, **arguments)
    assert not file.exists()
    monkeypatch.undo()
    resumed = train(images, "timm:test_resnet", file, **arguments)
    assert (len(resumed.losses), resumed.resumed) == (1, 1)
    from safetensors.torch import load_file

    one, other = load_file(whole.path), load_file(file)
    assert all(one[name].allclose(other[name], atol=1e-5) for name in one)


def test_draft_of_another_training_is_not_continued(photos, weights, tmp_path):
    file = tmp_path / "x.safetensors"
    (tmp_path / ".x.safetensors.training").write_bytes(b"rubbish")
    options = TrainingOptions(epochs=1, layers=1)
    result = train(dataset.load(photos), "timm:test_resnet", file, weights=weights, options=options)
    assert result.resumed == 0


def test_equal_files_are_on_one_side(photos, tmp_path):
    import shutil

    folder = shutil.copytree(photos, tmp_path / "x")
    for file in sorted((folder / "eng-h").glob("*.png")):
        shutil.copy(file, file.with_name(f"copy of {file.name}"))
    part, test = split(dataset.load(folder))
    held = {item.path.read_bytes() for item in test.queries}
    assert not held & {item.path.read_bytes() for item in part}
    assert (len(part), len(test.queries), test.held_out) == (48, 12, False)


def test_queries_of_a_dataset_are_held_out(photos, tmp_path):
    import shutil

    shutil.copytree(photos, tmp_path / "x/train")
    for label in ("eng-h", "breit-v"):
        (tmp_path / "x/test" / label).mkdir(parents=True)
        shutil.move(tmp_path / f"x/train/{label}/0.png", tmp_path / f"x/test/{label}/0.png")
    part, test = split(dataset.load(tmp_path / "x"))
    assert (len(part), len(test.queries), test.held_out) == (58, 2, True)


def test_too_few_images_raise(tmp_path, weights):
    for count, message in ((3, "no class has 4 images"), (0, "at least two classes")):
        folder = tmp_path / str(count)
        for number, label in enumerate(("a", "b")[: 2 if count else 1]):
            (folder / label).mkdir(parents=True)
            for place in range(count or 5):
                color = (place * 40, number * 99, 7)
                Image.new("RGB", (40, 40), color).save(folder / label / f"{place}.png")
        with pytest.raises(DatasetError, match=message):
            train(
                dataset.load(folder),
                "timm:test_resnet",
                tmp_path / "x.safetensors",
                weights=weights,
            )


def test_invalid_arguments_raise(photos, weights, tmp_path):
    images = dataset.load(photos)
    with pytest.raises(ConfigError, match=r"is named NAME\.safetensors"):
        train(images, "timm:test_resnet", tmp_path / "x.pth", weights=weights)
    with pytest.raises(ConfigError, match="folder does not exist"):
        train(images, "timm:test_resnet", tmp_path / "no/x.safetensors", weights=weights)
    with pytest.raises(ConfigError):
        train(images, "lite", tmp_path / "x.safetensors")
    for options in (
        {"epochs": 0},
        {"layers": 0},
        {"batch": 1},
        {"rate": 0.0},
        {"rate": float("nan")},
    ):
        with pytest.raises(ConfigError):
            TrainingOptions(**options)


def test_file_without_its_model_is_rejected(weights, tmp_path):
    with pytest.raises(WeightsInvalid, match=r"--model NAME --weights"):
        encoders.load(str(weights))
    for content in (b"", b"\xff" * 20, b"\x02\0\0\0\0\0\0\0[]"):
        (tmp_path / "x.safetensors").write_bytes(content)
        with pytest.raises(WeightsInvalid):
            trained_files.expand(str(tmp_path / "x.safetensors"), None)
    for name in ("none.safetensors", "a\0b.safetensors"):
        with pytest.raises(WeightsNotFound):
            trained_files.expand(name, None)
    assert trained_files.expand("lite", None) == ("lite", None)


def test_command_prints_both_measurements(photos, weights, tmp_path):
    from click.testing import CliRunner

    from imgsearch.cli.main import cli

    file = tmp_path / "x.safetensors"
    arguments = ["train", str(photos), "--model", "timm:test_resnet", "--weights", str(weights)]
    arguments += ["--to", str(file), "--epochs", "1", "--layers", "2"]
    done = CliRunner().invoke(cli, arguments)
    assert done.exit_code == 0, done.output
    assert "trained on 48 images, measured with 12 queries held out" in done.output
    assert "before" in done.output
    assert "map@10" in done.output
    again = CliRunner().invoke(cli, arguments)
    assert (again.exit_code, "--force replaces it" in again.output) == (1, True)


def test_operators_name_the_command():
    from imgsearch.towhee.imports import towhee

    for operator in (
        towhee.ops.image_text_embedding.clip(model_name="lite", modality="image"),
        towhee.ops.image_embedding.timm(model_name="classic"),
    ):
        with pytest.raises(ConfigError, match="imgsearch train DATASET --model timm:NAME"):
            operator.get_op().train(data_args={}, training_args={})

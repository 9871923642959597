"""A user's own encoders: registered by name, or passed as objects."""

import uuid

import numpy as np
import pytest

import imgsearch
from imgsearch import encoders
from imgsearch.encoders import registered
from imgsearch.errors import (
    ConfigError,
    EncoderError,
    EncoderMismatch,
    ModelNotFound,
    TextUnsupported,
    WeightsNotFound,
)
from imgsearch.types import Fingerprint
from tests.pictures import picture, write


class Colors:
    """The mean color of an image; texts are names of colors."""

    name, version, dim = "colors", "1", 3

    def encode_images(self, images):
        return np.array([image.reshape(-1, 3).mean(axis=0) for image in images])


class Named(Colors):
    name, languages = "named", ("en",)

    def encode_texts(self, texts):
        return [[255, 0, 0] if "red" in text else [0, 0, 255] for text in texts]


class Whole(encoders.Encoder):
    def __init__(self):
        self.fingerprint = Fingerprint("whole", 2, "w1")

    def prepare(self, image):
        return np.float32([image.mean(), 255])

    def features(self, inputs):
        return np.stack(inputs)


@pytest.fixture
def url():
    return f"memory://{uuid.uuid4().hex}"


@pytest.fixture
def register():
    """Register encoders, which are forgotten after the test."""
    names = []

    def register(name, factory):
        imgsearch.register_encoder(name, factory)
        names.append(name)

    yield register
    for name in set(names):
        del registered._factories[name]


def test_object_of_imgsearch_keeps_its_own_name(url, tmp_path):
    write(tmp_path, 1)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(tmp_path)
        with imgsearch.open(url, model=encoders.load("classic")) as own:
            assert own.add(tmp_path).added == 1
            assert own.model == "own:classic"
        assert encoders.load("classic").fingerprint.model == "classic"
        with imgsearch.open(library.url) as again:
            assert len(again.search(picture(1))) == 1


@pytest.mark.parametrize("model", [Colors(), Whole()])
def test_object_embeds_and_searches(url, tmp_path, model):
    files = write(tmp_path, 3)
    with imgsearch.open(url, model=model) as library:
        assert library.add(tmp_path).added == 3
        assert library.search(files[1])[0].fields["path"] == str(files[1])
        assert library.model == f"own:{getattr(model, 'name', 'whole')}"
        with pytest.raises(TextUnsupported):
            library.search("red")
    with imgsearch.open(url) as again:  # the same process has the object
        assert again.search(picture(2), k=1)[0].fields["path"] == str(files[2])


def test_text_side_is_optional(url, tmp_path):
    shades = {"blue": (0, 0, 250), "red": (250, 0, 0)}
    pixels = {name: np.full((4, 4, 3), shade, np.uint8) for name, shade in shades.items()}
    with imgsearch.open(url, model=Named()) as library:
        library.add(list(pixels.items()))
        assert library.search("a red car")[0].fields["path"] == "red"


def test_collection_names_the_object_that_it_needs(url, tmp_path, monkeypatch):
    write(tmp_path, 1)
    with imgsearch.open(url, model=Colors()) as library:
        library.add(tmp_path)
        monkeypatch.setattr(registered, "_objects", {})
        monkeypatch.setattr(registered, "_built", {})
        with imgsearch.open(url) as again:
            assert again.count() == 1
            advice = "'colors' is an object of a program, which is not stored. Pass it again"
            with pytest.raises(ModelNotFound, match=advice):
                again.encode(picture(1))
        with pytest.raises(EncoderMismatch, match="holds vectors of 'own:colors', not of"):
            imgsearch.open(url, model=Named())
        other = Colors()
        other.version = "2"
        with imgsearch.open(url, model=other) as changed, pytest.raises(EncoderMismatch):
            changed.search(picture(1))


def test_registered_name_is_a_family_with_options(url, tmp_path, register):
    calls = []

    def build(name, weights=None, power=1.0):
        calls.append((name, weights, power))
        return Colors()

    register("mine", build)
    write(tmp_path, 1)
    weights = tmp_path / "w.bin"
    with imgsearch.open(url, model="mine:big", weights=weights, options={"power": 2.0}) as library:
        assert library.add(tmp_path / "bild-ü 0000.png").added == 1
        assert library.encoder.fingerprint == Fingerprint("mine:big", 3, "1")
    assert calls == [("big", str(weights), 2.0)]
    with imgsearch.open(url) as again:
        again.search(picture(0))
    assert len(calls) == 1
    assert "mine" in [model.name for model in encoders.models()]
    with pytest.raises(WeightsNotFound, match="its package has its weights"):
        encoders.pull("mine")


def test_factorys_error_is_a_config_error(register):
    register("broken", lambda _name, power: Colors())
    with pytest.raises(ConfigError, match="'broken' cannot be built: TypeError"):
        encoders.load("broken")
    register("other", lambda _name: 3)
    with pytest.raises(
        ConfigError, match="int 'other' is not an encoder: it needs name, version, dim"
    ):
        encoders.load("other")


def test_later_registration_replaces_an_earlier_one(register):
    register("mine", lambda _name: Colors())
    register("mine", lambda _name: Whole())
    assert encoders.load("mine").dim == 2


def test_errors_of_an_encoder_are_lines_of_the_report(url, tmp_path):
    class Picky(Colors):
        name = "picky"

        def encode_images(self, images):
            if any(len(image) == 10 for image in images):
                raise RuntimeError("größe")
            return super().encode_images(images)

    with imgsearch.open(url, model=Picky()) as library:
        report = library.add([("small.png", np.ones((10, 10, 3), np.uint8)), ("b", picture(1))])
    assert (report.added, report.failed) == (1, 1)
    assert "own:picky: RuntimeError: größe" in report.failures[0].reason


def test_vectors_of_another_shape_are_rejected():
    class Short(Colors):
        dim = 4

    encoder = encoders.load(registered.model_name(Short()))
    with pytest.raises(EncoderError, match=r"own:colors returned \(1, 3\) for 1 images, not"):
        encoder.encode([picture(1)])


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (3, "invalid model of type int"),
        (Colors, "invalid model of type type"),
        (object(), "needs|give a name"),
    ],
)
def test_other_objects_are_rejected(url, model, message):
    with pytest.raises(ConfigError, match=message):
        imgsearch.open(url, model=model)


@pytest.mark.parametrize(
    "numbers", [{"size": "large"}, {"size": -1}, {"batch_size": 0}, {"batch_size": 1.5}]
)
def test_size_and_batch_are_checked(numbers):
    model = Colors()
    vars(model).update(numbers)
    with pytest.raises(ConfigError, match="has the (size|batch_size)"):
        imgsearch.open("memory://", model=model)


@pytest.mark.parametrize("dim", [0, 40_000, "3", 3.0, True])
def test_dimension_is_checked(dim):
    model = Colors()
    model.dim = dim
    with pytest.raises(ConfigError, match="has the dim"):
        registered.model_name(model)


@pytest.mark.parametrize("name", ["lite", "timm", "own", "Große", "", "a:b", 3])
def test_invalid_names_are_rejected(name):
    with pytest.raises(ConfigError):
        imgsearch.register_encoder(name, lambda _name: Colors())
    with pytest.raises(ConfigError, match="give a function"):
        imgsearch.register_encoder("mine", 3)

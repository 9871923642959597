"""Collections opened by name, and arguments that `imgsearch.open` rejects."""

import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import imgsearch
from imgsearch import backends, encoders
from imgsearch.backends import versions
from imgsearch.distribution import is_installed
from imgsearch.encoders import registry
from imgsearch.errors import (
    CollectionSwitched,
    ConfigError,
    EncoderMismatch,
    ImgSearchError,
    ModelNotFound,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.types import Fingerprint
from tests.pictures import picture, write

TIMM = pytest.mark.skipif(not is_installed("timm"), reason="needs the extra torch")
CLIP = pytest.mark.skipif(not is_installed("open_clip"), reason="needs the extra clip")


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"metric": "cos"}, ConfigError, "unknown metric 'cos'. .* did you mean cosine"),
        ({"metric": "L2"}, ConfigError, "did you mean l2"),
        ({"metric": 5}, ConfigError, "unknown metric 5"),
        ({"index": "hsnw"}, ConfigError, "unknown index 'hsnw'. .* did you mean hnsw"),
        ({"index": "hnsw:m=16"}, ConfigError, "no parameter 'm', only .* did you mean M"),
        ({"index": 7}, ConfigError, "index 7 is invalid"),
        ({"index": ""}, ConfigError, "unknown index ''"),
        ({"model": "nope"}, ModelNotFound, "no model 'nope'"),
        ({"model": "resnet5"}, ModelNotFound, "did you mean .*resnet50"),
        ({"model": "Lite"}, ModelNotFound, "did you mean lite"),
        ({"model": ""}, ModelNotFound, "no model ''"),
        ({"model": object()}, ConfigError, "invalid model of type object"),
        ({"model": "towhee:größe"}, ModelNotFound, "no weights of 'größe'"),
        ({"model": "lite", "weights": "x.safetensors"}, ConfigError, "takes no weights"),
        ({"model": "classic", "weights": "x.safetensors"}, ConfigError, "neither weights nor"),
        ({"model": "resnet50", "weights": "x.safetensors"}, WeightsNotFound, "x.safetensors"),
        ({"model": "resnet50", "weights": ""}, ConfigError, "weights must be a file or a folder"),
        ({"model": "resnet50", "weights": 3}, ConfigError, "weights must be a file or a folder"),
        ({"model": "resnet50", "weights": __file__}, WeightsInvalid, "no suffix of weights"),
        ({"weights": "x.safetensors"}, ConfigError, "name the model"),
        ({"options": {"runtime": "torch"}}, ConfigError, "name the model"),
        ({"model": "resnet50", "options": ["a"]}, ConfigError, "options must be a dict"),
        ({"model": "resnet50", "options": "a=1"}, ConfigError, "options must be a dict"),
        ({"model": "resnet50", "options": {1: 2}}, ConfigError, "an option's name must be text"),
        ({"model": "resnet50", "options": {"runtime": "tf"}}, ConfigError, "runtime must be"),
        ({"model": "resnet50", "options": {"precision": "f16"}}, ConfigError, "precision must be"),
        ({"model": "resnet50", "options": {"batch_size": -1}}, ConfigError, "batch_size must be"),
        ({"model": "lite", "options": {"reduction": "p.safetensors"}}, WeightsNotFound, "p.safet"),
        ({"timeout": 0}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"timeout": -1}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"timeout": float("nan")}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"timeout": float("inf")}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"timeout": "10"}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"timeout": None}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"timeout": True}, ConfigError, "timeout is invalid: .* Pass a positive number"),
        ({"collection": ""}, ConfigError, "collection name ''"),
        ({"collection": "bilder von mir"}, ConfigError, "collection name"),
        ({"collection": None}, ConfigError, "collection name None"),
        ({"regions": ""}, ConfigError, "regions must be a detector's folder"),
        ({"regions": 5}, ConfigError, "regions must be a detector's folder"),
        ({"token": 5}, ConfigError, "token is invalid: a int. Pass a text or None"),
        ({"token": b"geheim"}, ConfigError, "a bytes. Pass a text"),
    ],
)
def test_invalid_argument_fails_at_open_and_creates_no_store(tmp_path, arguments, error, message):
    with pytest.raises(error, match=f"(?s){message}") as refused:
        imgsearch.open(tmp_path / "photos.db", **arguments)
    assert "geheim" not in str(refused.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("timm:resnet5", marks=TIMM),
        pytest.param("timm:resnet50.nirgends", marks=TIMM),
        pytest.param("clip:ViT-B-3", marks=CLIP),
        pytest.param("clip:ViT-B-32/nirgends", marks=CLIP),
        pytest.param("clip:../ViT-B-32", marks=CLIP),
    ],
)
def test_unknown_model_name_fails_at_open(tmp_path, name):
    with pytest.raises(ModelNotFound, match=f"{name.partition(':')[0]}.* has "):
        imgsearch.open(tmp_path / "photos.db", model=name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", [5, None, b"photos.db", "a\0b.db", "", "photos", "~niemand/x.db"])
def test_invalid_url_is_rejected(url):
    with pytest.raises(ConfigError):
        imgsearch.open(url)
    with pytest.raises(ConfigError):
        backends.connect(url)


def test_connect_checks_its_token_and_timeout():
    for wrong in ({"timeout": 0}, {"timeout": "10"}, {"token": 5}):
        with pytest.raises(ConfigError):
            backends.connect("memory://", **wrong)


def test_url_may_be_a_path_object(tmp_path):
    with imgsearch.open(tmp_path / "photos.db", model="classic") as library:
        assert library.url == f"milvus-lite://{tmp_path / 'photos.db'}"
    with backends.connect(Path(tmp_path / "photos.db")) as store:
        assert store.url == library.url


@TIMM
def test_timm_names_are_checked_without_importing_timm():
    code = """
import sys
from imgsearch import encoders
encoders.check("timm:resnet50")
encoders.check("timm:resnet50.a1_in1k")
print("torch" in sys.modules, "timm" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "False False\n", done.stderr


@TIMM
def test_every_timm_name_is_found_in_its_files():
    from imgsearch.encoders import names

    folder = names._package_folder("timm")
    models = [name.removeprefix("timm:") for name in encoders.timm_names("*vit*")]
    assert all(names._in_timm(folder, name) for name in models[::40])


def test_alias_matches_the_recorded_model():
    place, row = f"memory://{uuid.uuid4().hex}", registry.find("clip_vit_b32")
    vectors_of = Fingerprint(row.name, 4, "0" * 64, "", "torch f32")
    with backends.connect(place) as store:
        store.create("images", backends.Schema(4, encoder=vectors_of))
        with imgsearch.open(place, model="clip_vit_b32") as library:
            assert library.recipe.model == row.name


@pytest.mark.parametrize("arguments", [{"index": "HNSW:M=8"}, {"metric": "l2"}, {"options": {}}])
def test_valid_arguments_are_accepted(tmp_path, arguments):
    write(tmp_path, 1)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", **arguments) as library:
        assert library.add(tmp_path).added == 1


@pytest.mark.parametrize("arguments", [{"metric": "cos"}, {"index": "hsnw"}, {"model": "nope"}])
def test_archive_and_evaluation_check_arguments_before_creating_a_folder(tmp_path, arguments):
    from imgsearch.archive import CollectionOptions, opened
    from imgsearch.datasets import dataset
    from imgsearch.evaluation.evaluator import evaluate
    from imgsearch.evaluation.options import Target

    write(tmp_path / "bilder/hund", 2)
    model = {key: value for key, value in arguments.items() if key == "model"}
    place = {key: value for key, value in arguments.items() if key != "model"}
    with (
        pytest.raises(ImgSearchError),
        opened(tmp_path / "archive", creation=CollectionOptions(**arguments)),
    ):
        pass
    target = Target(str(tmp_path / "x.db"), **place)
    with pytest.raises(ImgSearchError):
        evaluate(dataset.load(tmp_path / "bilder"), target=target, **model)
    assert [path.name for path in tmp_path.iterdir()] == ["bilder"]


@pytest.mark.parametrize("look", [imgsearch.Library.exists, imgsearch.Library.count])
def test_collection_created_by_another_process_is_found_with_its_model(tmp_path, look):
    write(tmp_path, 1)
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url) as early, imgsearch.open(url, model="classic") as other:
        assert not look(early)
        other.add(tmp_path)
        assert look(early) == 1
        assert early.model == "classic"


def switched(library, model, files):
    """Switch the library's collection to a new version, filled by `model`."""
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model=model) as other:
        other.add(*files)
        store, collection = library._handle.backend, other.collection
        shadow = versions.begin(store, library.name, collection.schema)
        shadow.upsert(collection.iterate())
    versions.switch(store, library.name)


def test_open_library_follows_a_switch_to_another_model(tmp_path):
    files = write(tmp_path, 4)
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url, model="classic") as library, imgsearch.open(url) as reader:
        library.add(*files[:2])
        assert reader.search(files[0])[0].fields["path"] == str(files[0])
        old = reader.encode_query(files[0])
        switched(library, "lite", files[:3])
        for opened in (reader, library):
            assert opened.search(files[2])[0].fields["path"] == str(files[2])
            assert (opened.model, opened.count(), opened.name) == ("lite", 3, "images")
        with pytest.raises(EncoderMismatch):  # it is never compared with the new vectors
            reader.search(old)
        library.add(files[3])
        assert reader.count() == 4
    with imgsearch.open(url) as library:
        assert (library.model, library.count()) == ("lite", 4)
    with pytest.raises(EncoderMismatch, match="holds vectors of 'lite'"):
        imgsearch.open(url, model="classic")


def test_vectors_of_the_former_model_are_not_written_after_a_switch(tmp_path):
    files = write(tmp_path, 3)
    with imgsearch.open(f"memory://{uuid.uuid4().hex}", model="classic") as library:
        library.add(*files[:2])
        version, records = library.version, list(library.collection.iterate())
        switched(library, "lite", files[:2])
        with pytest.raises(CollectionSwitched, match="Add the images again"):
            library.insert(records, version=version)

        def switch_while_adding(progress):
            if progress.embedded:
                switched(library, "classic", files[:2])

        with pytest.raises(CollectionSwitched):
            library.add(files[2], on_progress=switch_while_adding)
        assert library.count() == 2
        assert library.add(files[2]).added == 1


def test_encoder_of_new_collections_is_ignored_by_an_existing_one():
    url = f"memory://{uuid.uuid4().hex}"
    with imgsearch.open(url, new_model="classic") as library:
        assert library.model == "classic"
        library.add(picture(1))
        for model, weights in (("lite", None), ("kein-modell", None), ("timm:x", "/fehlt")):
            with imgsearch.open(url, new_model=model, new_weights=weights) as other:
                assert other.model == "classic"
                assert len(other.search(picture(1))) == 1
        with imgsearch.open(url, collection="x", new_model="lite", model="classic") as other:
            assert other.model == "classic"


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"new_model": "kein-modell"}, ModelNotFound),
        ({"new_weights": __file__}, ConfigError),
        ({"new_model": "classic", "new_weights": "/fehlt.safetensors"}, ImgSearchError),
    ],
)
def test_wrong_encoder_of_a_new_collection_creates_no_store(tmp_path, arguments, error):
    with pytest.raises(error):
        imgsearch.open(tmp_path / "x.db", **arguments)
    assert list(tmp_path.iterdir()) == []

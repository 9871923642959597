"""Operator folders registered by a program."""

import pytest

import imgsearch
from imgsearch.errors import ConfigError, OperatorNotFound
from imgsearch.towhee import add_operators, registry
from tests.pictures import write

OPERATOR = '''
from imgsearch.towhee import Operator

class Breite(Operator):
    """image → its width, times a factor."""

    def __init__(self, *, factor=1):
        self._factor = factor

    def __call__(self, image):
        return image.shape[1] * self._factor

breite_{number} = Breite
'''


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(registry, "_added", {})

    def at(number, *, place="schritte"):
        home = tmp_path / place / f"breite_{number}"
        home.mkdir(parents=True)
        (home / "__init__.py").write_text(OPERATOR.format(number=number), encoding="utf-8")
        return home.parent

    return at


def test_own_operator_works_as_a_step(folder, tmp_path):
    (path,) = write(tmp_path / "bilder", 1)
    place = folder(1)
    assert add_operators(place) == ["breite_1"]
    assert add_operators(place) == ["breite_1"]
    pipeline = imgsearch.embed_pipeline("classic").map(
        "image", "width", imgsearch.op("breite_1", factor=2)
    )
    ((width,),) = pipeline.output("width")([str(path)]).to_list()
    assert width > 0
    assert width % 2 == 0


def test_unknown_operator_error_suggests_a_similar_name(folder):
    add_operators(folder(2))
    with pytest.raises(OperatorNotFound, match="breite_2"):
        imgsearch.op("breite_22")


def test_existing_operator_names_are_rejected(folder, tmp_path):
    add_operators(folder(3))
    with pytest.raises(ConfigError, match="an operator 'breite_3' exists already"):
        add_operators(folder(3, place="anderswo"))
    (tmp_path / "drittens/image_decode").mkdir(parents=True)
    (tmp_path / "drittens/image_decode/__init__.py").touch()
    with pytest.raises(ConfigError, match="an operator 'image_decode' exists already"):
        add_operators(tmp_path / "drittens")


def test_folder_without_operators_is_rejected(tmp_path):
    with pytest.raises(ConfigError, match="no operators in"):
        add_operators(tmp_path)

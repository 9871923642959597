"""The DataCollection of Towhee 0.x: steps, streams, errors as values, functions."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from imgsearch.errors import ConfigError, OperatorNotFound, SourceError
from imgsearch.towhee.imports import towhee
from imgsearch.towhee.legacy import REPLACED
from tests.pictures import write


def test_list_behaves_like_a_list():
    numbers = towhee.dc([0, 1, 2, 3])
    assert (repr(numbers), numbers[1], numbers[1:].to_list(), len(numbers)) == (
        "[0, 1, 2, 3]", 1, [1, 2, 3], 4,
    )  # fmt: skip
    assert numbers.filter(lambda x: x % 2).map(lambda x: x * 2).to_list() == [2, 6]
    assert numbers.head(2).to_list() == [0, 1]
    assert towhee.range(3).to_list() == [0, 1, 2]
    assert towhee.dc([[1, 2], [3]]).flatten().to_list() == [1, 2, 3]


def test_lists_run_their_steps_at_once_and_streams_when_they_are_read():
    calls = []

    def step(value):
        calls.append(value)
        return value

    towhee.dc([1, 2]).map(step)
    assert calls == [1, 2]
    stream = towhee.dc(iter([3, 4])).map(step)
    assert (calls, stream.is_stream) == ([1, 2], True)
    assert stream.to_list() == [3, 4]
    assert calls == [1, 2, 3, 4]
    with pytest.raises(TypeError, match="unstream"):
        len(towhee.dc(iter([1])))
    towhee.dc([5]).stream().map(step).run()
    assert calls[-1] == 5


def test_rows_have_columns():
    rows = towhee.dc["num", "val"]([[1, "eins"], [2, "größe"]])
    assert (rows[0].num, rows[1].val) == (1, "größe")
    longer = rows.runas_op["num", "double"](func=lambda x: x * 2)
    assert longer.select["double"]().as_raw().to_list() == [2, 4]
    assert longer.select("num", "double").as_raw().to_list() == [(1, 2), (2, 4)]
    both = rows.runas_op["num", ("down", "up")](lambda x: (x - 1, x + 1))
    assert both.select("down", "up").as_raw().to_list() == [(0, 2), (1, 3)]
    seen = []
    assert len(rows.runas_op["val", ()](seen.append)) == 2
    assert seen == ["eins", "größe"]
    assert rows.filter(lambda row: row.num > 1).select["val"]().as_raw().to_list() == ["größe"]
    assert rows.to_df()["num"].tolist() == [1, 2]


def test_none_stays_a_value():
    assert towhee.dc([1, None]).map(lambda x: None if x else x).to_list() == [None, None]
    assert towhee.dc["a"]([None]).as_raw().to_list() == [None]


def test_tables_and_texts_become_rows(tmp_path):
    frame = pd.DataFrame({"id": [1, 2], "path": ["a", "b"]})
    assert towhee.from_df(frame).select["path"]().as_raw().to_list() == ["a", "b"]
    (tmp_path / "x.csv").write_text("id,path\n7,猫.jpg\n", encoding="utf-8-sig")
    assert towhee.read_csv(tmp_path / "x.csv").to_list()[0].path == "猫.jpg"
    (tmp_path / "x.json").write_text('{"a": 1}\n{"a": 2}\n', encoding="utf-8")
    assert towhee.read_json(tmp_path / "x.json").as_raw().to_list() == [1, 2]
    assert towhee.dc(['{"x": 1}']).parse_json().as_json().to_list() == ['{"x": 1}']
    assert towhee.DataFrame([{"a": 1}]).as_entity()[0].a == 1
    assert towhee.dc([(1, 2)]).as_entity(schema=["a", "b"])[0].b == 2


def test_unreadable_sources_are_errors(tmp_path):
    (tmp_path / "x.json").write_text("[" * 9999)
    for source in (
        lambda: towhee.glob(str(tmp_path / "*.none")),
        lambda: towhee.read_csv(tmp_path / "no.csv").to_list(),
        lambda: towhee.read_csv("a\0b").to_list(),
        lambda: towhee.read_json(tmp_path / "x.json").to_list(),
    ):
        with pytest.raises(SourceError, match="no file matches|cannot read"):
            source()


def test_operators_run_on_rows_and_on_values(tmp_path):
    paths = [str(path) for path in write(tmp_path, 3)]
    vectors = (
        towhee.glob["path"](str(tmp_path / "*.png"))
        .image_decode["path", "img"]()
        .image_embedding.timm["img", "vec"](model_name="classic")
        .tensor_normalize["vec", "vec"]()
        .select["vec"]()
        .as_raw()
        .to_list()
    )
    values = towhee.dc(paths).image_decode().image_embedding.timm(model_name="classic")
    assert np.allclose(vectors, values.towhee.np_normalize().to_list())
    assert np.linalg.norm(vectors, axis=1) == pytest.approx([1, 1, 1], abs=1e-5)


def test_operator_of_a_program_is_called_by_its_name():
    @towhee.register(name="legacy_add")
    class LegacyAdd:
        def __init__(self, number):
            self.number = number

        def __call__(self, value):
            return value + self.number

    assert towhee.dc([1, 2]).legacy_add(number=5).to_list() == [6, 7]
    assert towhee.dc["a"]([1]).legacy_add["a", "b"](5)[0].b == 6


def test_exception_ends_the_run_unless_it_is_safe():
    with pytest.raises(ZeroDivisionError):
        towhee.dc([1, 0]).map(lambda x: 1 / x)
    safe = towhee.dc([1, 0, 2]).exception_safe().map(lambda x: 1 / x)
    assert safe.map(lambda x: x + 1).fill_empty(-1).to_list() == [2, -1, 1.5]
    empties = []
    assert safe.filter(lambda x: x < 1).drop_empty(empties.append).to_list() == [0.5]
    (empty,) = empties
    assert (empty.get().value, type(empty.get().exception)) == (0, ZeroDivisionError)
    stream = towhee.dc(iter([1, 0])).safe().map(lambda x: 1 / x)
    assert stream.drop_empty().to_list() == [1]


def test_function_of_an_argument():
    with towhee.api["x", "y"]() as api:
        total = api.runas_op[("x", "y"), "z"](func=lambda x, y: x + y).select["z"]().as_raw()
        add = total.as_function()
    assert (add((1, 2)), add((3, 4)), add.__name__) == (3, 7, "search")
    with towhee.api() as api:
        shout = api.map(lambda text: text + "!").as_function()
    assert shout("hallo") == "hallo!"
    with pytest.raises(ConfigError, match="as_function"):
        list(api)


def test_routes_answer_and_refuse_large_bodies(monkeypatch):
    fastapi = pytest.importorskip("fastapi")
    from fastapi.testclient import TestClient

    app = fastapi.FastAPI()
    with towhee.api["x"]() as api:
        api.runas_op["x", "n"](func=len).select["n"]().serve("/len", app)
    client = TestClient(app)
    assert client.post("/len", content="größe").json() == {"n": 5}
    image = {"content-type": "image/png"}
    assert client.post("/len", content="größe".encode(), headers=image).json() == {"n": 7}
    monkeypatch.setattr("imgsearch.towhee.legacy.serve._BODY", 3)
    assert client.post("/len", content="größe").status_code == 413
    with pytest.raises(ConfigError, match=r"app=FastAPI\(\)"):
        api.serve("/x")


def test_metrics_by_towhees_rule(capsys):
    """Hits at ranks 1 and 3 of 2 relevant: recall 1, (1 + 2/3) / 2 = 5/6; then 0 of 1."""
    rows = towhee.dc["gt", "found"]([[[1, 2], [1, 9, 2]], [[3], [8, 9, 7]]])
    scores = (
        rows.with_metrics(["mean_hit_ratio", "mean_average_precision"])
        .evaluate["gt", "found"]("x")
        .report()
    )
    assert scores == {"x": {"mean_hit_ratio": 0.5, "mean_average_precision": pytest.approx(5 / 12)}}
    assert "mean_hit_ratio" in capsys.readouterr().out
    with pytest.raises(ConfigError, match="unknown metric 'f1'"):
        rows.with_metrics(["f1"])


@pytest.mark.parametrize("name", sorted(REPLACED))
def test_other_names_of_the_module_say_what_to_write(name):
    with pytest.raises(OperatorNotFound, match=rf"towhee\.{name} is of Towhee 0\.x .* write: "):
        getattr(towhee, name)


@pytest.mark.parametrize("name", ["group_by", "zip", "to_faiss", "train"])
def test_other_methods_say_what_to_write(name):
    with pytest.raises(OperatorNotFound, match=rf"\.{name}\(\) is of Towhee 0\.x"):
        getattr(towhee.dc([1]), name)


def test_unknown_names_are_attribute_errors():
    assert not hasattr(towhee, "nothing_of_this_name")
    with pytest.raises(OperatorNotFound, match="hub no longer exists"):
        towhee.dc([1]).nobody.nothing()
    with pytest.raises(ConfigError, match="invalid columns"):
        towhee.dc["a"]([1]).runas_op[3, "b"](len)


def test_dc2_is_towhee_1():
    from towhee.dc2 import DataCollection, ops, pipe

    assert (pipe, ops) == (towhee.pipe, towhee.ops)
    assert pipe.input("x").map("x", "y", len).output("y")("größe").get() == [5]
    assert DataCollection is towhee.DataCollection


def test_example_of_the_guide_prints_its_rows(capsys):
    guide = Path(__file__).resolve().parents[3] / "docs/towhee.md"
    (block,) = re.findall(r"```python\n(.+?)```", guide.read_text(encoding="utf-8"), re.DOTALL)
    exec(block, {})  # noqa: S102
    assert capsys.readouterr().out == "[1.0, 0.5]\n"

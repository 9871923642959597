"""Towhee's runtime behaves with our pydantic as with the real one."""

import builtins
import importlib.util
import re
import types
import warnings
from collections import deque
from copy import deepcopy
from fractions import Fraction
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import imgsearch  # noqa: F401 - installs the import hook
from imgsearch.towhee import downloader
from imgsearch.towhee.import_hook import PYDANTIC_USERS
from imgsearch.towhee.imports import towhee
from tests.compat.test_pkg_resources import python

(FOLDER,) = importlib.util.find_spec("towhee").submodule_search_locations
ROOT = Path(FOLDER)
ColumnType = towhee.runtime.data_queue.ColumnType
ORDER = ("check_utils", "node_config", "node_repr", "schema_repr", "dag_repr")


@cache
def oracle():
    """Return Towhee's modules by name, executed with the real pydantic."""
    modules = {}

    def real(name, *args, **options):
        return modules.get(name) or builtins.__import__(name, *args, **options)

    for name in ORDER:
        module = types.ModuleType(name)
        module.__builtins__ = {**vars(builtins), "__import__": real}
        code = (ROOT / f"runtime/{name}.py").read_text("utf-8")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            exec(compile(code, name, "exec"), vars(module))  # noqa: S102 - Towhee's code
        modules[f"towhee.runtime.{name}"] = module
    graphs = modules["towhee.runtime.dag_repr"]
    assert graphs.BaseModel.__module__ == "pydantic.main"
    graphs.TowheeConfig = towhee.runtime.node_config.TowheeConfig  # no model: any instance counts
    return modules


def both(name):
    """Return Towhee's module with our pydantic and with the real one."""
    name = f"towhee.runtime.{name}"
    return importlib.import_module(name), oracle()[name]


def plain(value):
    """Return a model as a dictionary."""
    if type(value).__name__ in ("list", "tuple"):
        return type(value)(map(plain, value))
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if type(value).__module__.rpartition(".")[2] in ORDER:
        return plain({**vars(value), **(getattr(value, "__pydantic_extra__", None) or {})})
    return value


def outcome(call):
    """Return the result of a call, or ValueError if it raises one."""
    try:
        return plain(call())
    except ValueError:
        return ValueError


OPERATOR = {
    "operator": "a/b", "type": "hub", "init_args": (), "init_kws": {"ä": 1}, "tag": "main",
}  # fmt: skip
NODE = {
    "uid": "x", "inputs": ["a"], "outputs": ("b",), "iter_info": {"type": "map", "param": None},
    "op_info": OPERATOR, "config": {"name": "b-0"}, "next_nodes": ["_output"],
}  # fmt: skip
MODELS = [
    ("check_utils", "TupleForm", {"data": None, "schema_data": "a"}),
    ("check_utils", "TupleForm", {"data": None, "schema_data": ("a", "b_1")}),
    ("check_utils", "TupleForm", {"data": None, "schema_data": ()}),
    ("check_utils", "TupleForm", {"data": None, "schema_data": ("a", "ä")}),
    ("check_utils", "TupleForm", {"data": None, "schema_data": "1a"}),
    ("check_utils", "TupleForm", {"data": None, "schema_data": ["a b"]}),
    ("check_utils", "TupleForm", {"data": None, "schema_data": None}),
    ("check_utils", "TupleForm", {"data": "a", "schema_data": "b"}),
    ("check_utils", "TupleForm", {"schema_data": "b"}),
    ("check_utils", "TupleForm", {"data": (1,), "schema_data": ()}),
    *[
        ("check_utils", "IntForm", {"data": number})
        for number in (1, 0, -1, 2.0, 2.5, "3", "x", None, True, Fraction(4), np.int64(3), [1])
    ],
    *[
        ("check_utils", "SetForm", {"data": names})
        for names in ("ab", ("a", "b"), ["a", "a"], {"a"}, (), (1,))
    ],
    ("node_config", "NodeConfig", {"name": "a"}),
    ("node_config", "NodeConfig", {"name": "a", "device": "0", "own": {"ä": [1]}}),
    ("node_config", "NodeConfig", {"name": "a", "device": "cuda:0"}),
    ("node_config", "NodeConfig", {"name": 1}),
    ("node_config", "NodeConfig", {"device": 0}),
    ("node_config", "NodeConfig", {"name": "a", "server": {"device_ids": [0, 1]}}),
    ("node_config", "NodeConfig", {"name": "a", "server": {"device_ids": 0}}),
    ("node_config", "ServerConf", {"triton": {"preferred_batch_size": [4]}}),
    ("node_config", "NodeConfig", {"name": "a", "server": 3}),
    ("node_config", "NodeConfig", {"name": "a", "acc_info": {"type": "mock", "params": None}}),
    ("node_config", "NodeConfig", {"name": "a", "acc_info": {"type": "mock"}}),
    ("node_config", "AcceleratorConf", {"type": "cuda", "params": None}),
    (
        "node_config",
        "AcceleratorConf",
        {"type": "triton", "params": {"model_name": "m", "inputs": ("i",), "outputs": ["o"]}},
    ),
    ("node_config", "AcceleratorConf", {"type": "triton", "params": {"model_name": "m"}}),
    ("node_repr", "OperatorRepr", OPERATOR),
    ("node_repr", "OperatorRepr", {**OPERATOR, "operator": len, "unknown": 1, "latest": True}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "operator": None, "init_args": None, "latest": 0}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "operator": 3}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "init_args": [1, "ä"], "init_kws": None}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "init_args": "ab"}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "init_args": deque([1])}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "init_kws": [("a", 1)]}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "init_kws": {1: 1}}),
    ("node_repr", "OperatorRepr", {**OPERATOR, "latest": "vielleicht"}),
    ("node_repr", "NodeRepr", NODE),
    ("node_repr", "NodeRepr", {**NODE, "inputs": None, "next_nodes": None, "config": None}),
    ("node_repr", "NodeRepr", {**NODE, "op_info": {}}),
    ("node_repr", "NodeRepr", {key: value for key, value in NODE.items() if key != "iter_info"}),
    ("schema_repr", "SchemaRepr", {"name": "a", "type": ColumnType.QUEUE}),
    ("schema_repr", "SchemaRepr", {"name": "a", "type": "keiner"}),
    ("dag_repr", "DAGRepr", {"nodes": {}, "edges": {"0": {}}, "dag_dict": None, "top_list": ["a"]}),
    ("dag_repr", "DAGRepr", {"nodes": {"x": 1}, "edges": {}, "dag_dict": {}, "top_list": []}),
]  # fmt: skip


@pytest.mark.parametrize(("module", "model", "values"), MODELS)
def test_models_convert_values_as_with_pydantic(module, model, values):
    ours, real = (getattr(module, model) for module in both(module))
    expected = outcome(lambda: real(**deepcopy(values)))
    assert outcome(lambda: ours(**deepcopy(values))) == expected


def test_containers_and_defaults_are_copies():
    for module in both("node_repr"):
        values = deepcopy(NODE)
        node = module.NodeRepr(**values)
        assert node.next_nodes is not values["next_nodes"]
        assert node.op_info.init_kws is not values["op_info"]["init_kws"]
        operator = module.OperatorRepr(**OPERATOR)
        assert module.NodeRepr(**{**values, "op_info": operator}).op_info is operator
        server = module.NodeConfig(name="a", server={}).server
        assert server.triton is not module.NodeConfig(name="a", server={}).server.triton


PIPE = towhee.pipe
PIPELINES = {
    "map": lambda: PIPE.input("a").map("a", "b", len).map(("a", "b"), "ab", towhee.ops.x.y(k=1)),
    "flat map": lambda: PIPE.input("a").flat_map("a", "b", iter).filter("b", "c", "b", bool),
    "window": lambda: PIPE.input("a").flat_map("a", "b", iter).window("b", "c", 2, 1, sum),
    "time window": lambda: (
        PIPE.input("a").flat_map("a", ("b", "t"), iter).time_window("b", "c", "t", 2, 1, sum)
    ),
    "window of size 0": lambda: PIPE.input("a").window("a", "b", 0, 1, sum),
    "unknown column": lambda: PIPE.input("a").map("z", "b", len),
    "filter of other columns": lambda: PIPE.input("a").filter("a", "c", "z", bool),
    "concat": lambda: (
        PIPE.input("a").map("a", "b", len).concat(PIPE.input("a").map("a", "c", len))
    ),
    "configured": lambda: (
        PIPE.input("a").map("a", "b", len, config=towhee.AutoConfig.LocalCPUConfig())
    ),
    "wrong device": lambda: PIPE.input("a").map("a", "b", len, config={"device": "cuda"}),
    "all": lambda: PIPE.input("a").flat_map("a", "b", iter).window_all("b", "c", sum),
}  # fmt: skip


@pytest.mark.parametrize("name", PIPELINES)
def test_graphs_are_those_of_pydantic(name):
    ours, real = both("dag_repr")
    steps = PIPELINES[name]()
    columns = steps._check_schema(("a",))
    dag = deepcopy(steps._dag)
    dag["_output"] = steps._nop_node_dict(columns, columns)
    dag[steps._clo_node]["next_nodes"].append("_output")
    expected = outcome(lambda: real.DAGRepr.from_dict(deepcopy(dag)).to_dict())
    assert outcome(lambda: ours.DAGRepr.from_dict(deepcopy(dag)).to_dict()) == expected


def test_errors_name_the_model_and_the_value():
    with pytest.raises(ValueError, match=r"NodeConfig\.device: .*'cuda:0'"):
        towhee.runtime.node_config.NodeConfig(name="a", device="cuda:0")
    with pytest.raises(ValueError, match=r"letters.*the error schema: \[ä\]"):
        towhee.pipe.input("ä")


def test_importing_towhee_imports_none_of_its_large_requirements():
    code = """
import sys
import imgsearch, towhee
large = ("pydantic", "requests", "tqdm", "tenacity", "packaging", "importlib.metadata")
print([name for name in large if name in sys.modules])
import pydantic, requests
print(issubclass(pydantic.BaseModel, towhee.runtime.node_config.BaseModel))
print(pydantic.BaseModel.__module__, requests.get.__module__)
from towhee.hub.repo_manager import RepoManager
from towhee.pipelines.search_milvus import BaseModel
print(BaseModel is pydantic.BaseModel)
"""
    assert python(code).splitlines() == ["[]", "False", "pydantic.main requests.api", "True"]


def test_all_modules_of_the_runtime_that_import_pydantic_are_known():
    users = {
        ".".join(path.relative_to(ROOT.parent).with_suffix("").parts)
        for path in (ROOT / "runtime").rglob("*.py")
        if "pydantic" in path.read_text("utf-8")
    }
    assert users == PYDANTIC_USERS


def test_downloader_has_the_names_that_towhee_imports():
    imported = set()
    for path in ROOT.rglob("*.py"):
        for names in re.findall(
            r"^from .*\bdownloader import (.+)$", path.read_text("utf-8"), re.MULTILINE
        ):
            imported |= {name.strip() for name in names.split(",")}
    assert imported == {"set_hub_url", "download_operator", "download_pipeline", "repo_tag_path"}
    assert imported <= set(vars(towhee.hub.downloader))
    assert towhee.hub.downloader.__file__ == downloader.__file__
    towhee.hub.set_hub_url("https://example.com")


def test_folder_of_a_version_is_that_of_the_real_downloader(tmp_path):
    spec = importlib.util.spec_from_file_location("real", ROOT / "hub/downloader.py")
    real = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(real)
    for tag in ("main", "v1.0-beta"):
        expected = real.repo_tag_path(tmp_path / "ä", tag)
        assert downloader.repo_tag_path(tmp_path / "ä", tag) == expected

"""Operator names of public Towhee code resolve to ours, in either order of the imports."""

import importlib.util
import os
import shutil
import subprocess
import sys

import pytest

from imgsearch.errors import ConfigError
from imgsearch.towhee import operator_folders, operator_names
from imgsearch.towhee.names import PUBLIC

WRITTEN = [
    "image_decode", "image_decode.cv2", "image_decode.cv2_rgb", "towhee.image_decode",
    "towhee.image_decode.cv2", "image_embedding.timm", "image_text_embedding.clip", "np_normalize",
    "towhee.np_normalize", "ann_insert.milvus_client", "ann_search.milvus_client",
    "local.tcvdb_client", "local.search_tcvdb_client",
    *(f"imgsearch.{folder}" for folder in operator_names()),
]  # fmt: skip
RESOLVE = f"""
from towhee import ops
from towhee.runtime.operator_manager import OperatorRegistry
for written in {WRITTEN}:
    found = OperatorRegistry.resolve(eval(f"ops.{{written}}()").name)
    print(written, found and found.__name__)
"""


@pytest.fixture(autouse=True, scope="module")
def old_setuptools(tmp_path_factory):
    """Provide pkg_resources, without which Towhee cannot be imported before imgsearch."""
    if importlib.util.find_spec("pkg_resources"):
        yield
        return
    folder = tmp_path_factory.mktemp("old")
    (folder / "pkg_resources.py").write_text(
        "def declare_namespace(name): pass\nworking_set = ()\n", encoding="utf-8"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(folder), prepend=os.pathsep)
        yield


def python(code, *flags):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *flags, "-c", code],
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    "first",
    [
        "import imgsearch",
        "import towhee; import imgsearch",
        "from towhee import pipe, ops; import imgsearch",
        "import imgsearch; from towhee.runtime import pipe",
        "import imgsearch.towhee",
        "from imgsearch import embed_pipeline",
        "import towhee; from imgsearch import embed_pipeline",
        "import imgsearch, importlib; importlib.import_module('towhee.types')",
    ],
)
def test_every_name_resolves(first):
    lines = dict(line.split() for line in python(first + RESOLVE).splitlines())
    assert set(lines) == set(WRITTEN)
    assert set(lines.values()) <= set(operator_names())


def test_table_names_existing_folders():
    assert {folder for folder, _ in PUBLIC.values()} <= set(operator_names())


def test_operator_registered_by_a_program_has_precedence():
    code = """
import imgsearch
from towhee import ops, register
@register(name="image_decode")
class Mine:
    def __call__(self, x):
        return "mine"
@register(name="np_normalize")
def func(x):
    return "mine"
print(ops.image_decode()("x"), ops.np_normalize()("x"), ops.image_decode.cv2().name)
"""
    assert python(code).split() == ["mine", "mine", "image-decode/cv2"]


def test_names_resolve_with_concurrent_imports():
    code = f"""
import threading
import imgsearch
start, seen = threading.Barrier(8), []
def go(statement):
    start.wait()
    scope = {{}}
    exec(statement, scope)
    from towhee.runtime.operator_manager import OperatorRegistry
    seen.append(OperatorRegistry.resolve("image-decode") is not None)
statements = ["import towhee", "import imgsearch.towhee.pipeline", "from towhee import ops",
    "from imgsearch.pipelines import embed_pipeline"] * 2
threads = [threading.Thread(target=go, args=(each,)) for each in statements]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(seen), all(seen))
{RESOLVE}
"""
    for _ in range(3):
        assert python(code).splitlines()[0] == "8 True"


def test_import_works_without_towhee():
    root = importlib.util.find_spec("imgsearch").submodule_search_locations[0].rpartition("/")[0]
    code = f"""
import sys
sys.path.append({root!r})
import imgsearch
import importlib.util
print(importlib.util.find_spec("towhee"))
try:
    import towhee
except ModuleNotFoundError as error:
    print(error.name)
"""
    assert python(code, "-I", "-S").split() == ["None", "towhee"]


def test_find_spec_does_not_disable_the_import_hook():
    code = "import imgsearch, importlib.util\nassert importlib.util.find_spec('towhee')" + RESOLVE
    assert "None" not in python(code)


def test_towhee_remains_itself():
    code = """
import imgsearch, towhee, importlib.machinery
print(type(towhee.__spec__.loader) is importlib.machinery.SourceFileLoader, towhee.__file__[-11:])
"""
    assert python(code).split() == ["True", "__init__.py"]


def test_importing_imgsearch_takes_less_than_300_ms():
    code = "import time; t = time.perf_counter(); import imgsearch; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.3


@pytest.mark.parametrize("first", ["import imgsearch, towhee", "import towhee, imgsearch"])
def test_towhee_does_not_run_pip(first):
    code = f"""
import sys
sys.addaudithook(lambda event, args: print(event) if event == "subprocess.Popen" else None)
{first}
from towhee.utils.dependency_control import prompt_install
try:
    prompt_install("nothing-of-this-name")
except ImportError as error:
    print(error)
"""
    assert python(code).strip() == (
        "Towhee needs nothing-of-this-name, which is not installed. "
        "Run pip install nothing-of-this-name."
    )


@pytest.mark.parametrize("first", ["import imgsearch, towhee", "import towhee, imgsearch"])
def test_towhee_does_not_look_up_unknown_operators_on_a_hub(first, tmp_path):
    code = f"""
import sys
sys.addaudithook(lambda event, args: print(event) if event in ("socket.connect",
    "socket.getaddrinfo", "subprocess.Popen") else None)
{first}
from towhee import ops, pipe
for operator in (ops.image_captioning.blip(), ops.mystery()):
    try:
        pipe.input("x").map("x", "y", operator).output("y")(1)
    except RuntimeError as error:
        print("OperatorNotFound" in str(error), "hub no longer exists" in str(error))
"""
    assert python(code).splitlines() == ["True True"] * 2


def test_folders_in_the_working_directory_are_still_used(tmp_path):
    shutil.copytree(operator_folders() / "normalize", tmp_path / "normalize")
    code = f"""
import os
os.environ["TEST_OP_CACHE"] = {str(tmp_path)!r}
import imgsearch, numpy
from towhee import ops
print(ops.local.normalize()(numpy.array([3.0, 4.0])))
"""
    assert python(code).split() == ["[0.6", "0.8]"]


def test_supported_model_names_are_accepted_by_the_operators():
    from imgsearch.towhee.imports import towhee

    without_weights = towhee.ops.image_embedding.timm(model_name="resnet50").get_op()
    names = without_weights.supported_model_names()
    assert {"classic", "resnet50", "vgg16"} <= set(names)
    assert without_weights.supported_model_names(format="onnx") == names
    clip = towhee.ops.image_text_embedding.clip(model_name="clip_vit_b32", modality="text").get_op()
    assert {"clip_vit_base_patch16", "clip_vit_b32"} <= set(clip.supported_model_names())
    with pytest.raises(ConfigError, match="unknown model format 'tensorrt'"):
        clip.supported_model_names(format="tensorrt")


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("towhee.trainer", "torchvision"),
        ("towhee.data.dataset.image_datasets", "PyTorchImageDataset"),
        ("towhee.models.clip", "create_model"),
    ],
)
def test_towhees_torch_modules_are_imported_without_pip(module, name):
    pytest.importorskip("torch")
    pytest.importorskip("towhee.models")
    code = f"""
import sys
sys.addaudithook(lambda event, args: print(event) if event in ("os.system", "subprocess.Popen")
    and "pip" in str(args) else None)
import imgsearch
from {module} import {name}
import torchvision
print({name} is not None, hasattr(torchvision, "models"))
"""
    assert python(code).split() == ["True", "True"]


def test_missing_package_of_a_model_is_an_import_error():
    pytest.importorskip("towhee.models")
    code = """
import sys
sys.addaudithook(lambda event, args: print(event) if event == "os.system" else None)
import imgsearch
sys.modules["einops"] = None
try:
    import towhee.models.timesformer
except ImportError as error:
    print(error.name)
"""
    assert python(code).split() == ["einops"]

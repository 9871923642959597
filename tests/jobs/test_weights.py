"""The model's weights travel with the job."""

import importlib.util
import shutil

import pytest

import imgsearch
from tests import pictures
from tests.jobs.mixed import Added, assert_same

if any(importlib.util.find_spec(name) is None for name in ("torch", "timm", "safetensors")):
    pytest.skip("timm's models need the extra torch", allow_module_level=True)

from safetensors.torch import save_file

from imgsearch.encoders.torch.imports import frameworks

RUNNING = {"runtime": "torch"}


def test_weights_are_copied_into_the_folder(tmp_path):
    pictures.write(tmp_path / "a", 2)
    _, timm = frameworks()[:2]
    model = timm.create_model("test_resnet", pretrained=False)
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    options = {
        "model": "timm:test_resnet",
        "weights": tmp_path / "w.safetensors",
        "options": RUNNING,
    }
    added = Added.by_add(tmp_path / "a", **options)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    job = imgsearch.embed(tmp_path / "a", to=tmp_path / "job", **options)
    assert_same(job, added)
    (copied,) = (tmp_path / "job/weights").glob("*/w.safetensors")
    assert job.description.recipe["weights"] == str(copied.relative_to(tmp_path / "job"))
    (tmp_path / "w.safetensors").unlink()
    pictures.write(tmp_path / "a", 1, start=5)
    assert imgsearch.embed(tmp_path / "a", to=tmp_path / "job").report.added == 1

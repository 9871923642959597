"""The command models finds every name that --model accepts."""

import json

import pytest

from imgsearch.distribution import is_installed


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("clip_vit_b32", "clip_vit_base_patch32"),
        ("clip_vit_b*", "clip_vit_base_patch16"),
        ("lite", "lite"),
        ("towhee:clip_vit_b32", "towhee:clip_vit_b32"),
        ("towhee:*", "towhee:clip_vit_base_patch32"),
        ("timm:resnet50", "timm:resnet50"),
        ("timm:resnet50.a1_in1k", "timm:resnet50.a1_in1k"),
        ("resnet50.a1*", "timm:resnet50.a1_in1k"),
        ("clip:ViT-B-32", "clip:ViT-B-32"),
        ("clip:ViT-B-32/openai", "clip:ViT-B-32/openai"),
    ],
)
def test_every_model_name_is_found(run, pattern, name):
    if not (is_installed("timm") and is_installed("open_clip")):
        pytest.skip("needs the extras torch and clip")
    done = run("models", pattern, "--json")
    assert done.exit_code == 0, done.output
    assert name in json.loads(done.stdout)


def test_alias_is_shown_with_its_model(run):
    assert "also called clip_vit_b32" in run("models", "clip_vit_base_patch32").stdout


def test_unknown_model_has_exit_status_1_with_a_suggestion(run):
    done = run("models", "clip_vit_b33")
    assert done.exit_code == 1
    assert "no model matches 'clip_vit_b33'; did you mean clip_vit_b32" in done.stderr

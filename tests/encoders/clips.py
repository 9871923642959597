"""A small CLIP with seeded random weights, in a folder with the layout of hubs."""

import json

TINY = {
    "embed_dim": 24,
    "vision_cfg": {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {
        "context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2,
    },
}  # fmt: skip


def write_tiny(folder, *, seed=7, config=TINY, **preprocess):
    """Write the folder; return the module with its weights, in inference mode."""
    from safetensors.torch import save_file

    from imgsearch.encoders.clip.model import open_clip
    from imgsearch.encoders.torch.imports import frameworks

    torch = frameworks()[0]
    torch.manual_seed(seed)
    custom = {key: value for key, value in config.items() if key != "custom_text"}
    kind = open_clip().CustomTextCLIP if config.get("custom_text") else open_clip().CLIP
    if "multimodal_cfg" in config:
        kind = open_clip().CoCa
    module = kind(**custom).eval()
    folder.mkdir(parents=True, exist_ok=True)
    save_file(
        {name: tensor.contiguous() for name, tensor in module.state_dict().items()},
        folder / "open_clip_model.safetensors",
    )
    full_config = {"model_cfg": config, "preprocess_cfg": preprocess}
    (folder / "open_clip_config.json").write_text(json.dumps(full_config))
    return module

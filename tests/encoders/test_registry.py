import importlib.util

import numpy as np
import pytest

from imgsearch.encoders import Recipe, load, models, registry
from imgsearch.encoders.classic.encoder import ClassicEncoder
from imgsearch.errors import ModelNotFound

if importlib.util.find_spec("timm") is None:
    pytest.skip("the models need the extra torch", allow_module_level=True)

from imgsearch.encoders.torch.imports import frameworks

TIMM = [row for row in registry.described().values() if row.runtime == "timm"]
CLIP = [row for row in registry.described().values() if row.runtime == "clip"]


@pytest.fixture(scope="module")
def torch():
    return frameworks()[0]


def outline(torch, row):
    """Return a module on torch's meta device, which has shapes but no data, and its names."""
    from imgsearch.encoders.timm import heads

    arguments = dict(row.arguments)
    half = arguments.pop("half_block", False)
    with torch.device("meta"):
        model = frameworks()[1].create_model(row.model, num_classes=0, **arguments).eval()
        whole = heads.pool(model, row.pooling, half_block=half) if row.pooling else model
    return whole.eval()


@pytest.mark.parametrize("row", TIMM, ids=lambda row: row.name)
def test_row_of_a_timm_model_is_correct(torch, row):
    from torch.utils.flop_counter import FlopCounterMode

    model = outline(torch, row)
    images = torch.zeros((1, 3, row.input_size, row.input_size), device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        features = model(images)
    assert tuple(features.shape) == (1, row.dim)
    assert counter.get_total_flops() / 1e9 == pytest.approx(row.gflops, abs=0.05)
    numbers = sum(tensor.numel() for tensor in model.state_dict().values())
    assert 4 * numbers / 1e6 == pytest.approx(row.mb, abs=0.06)
    published = frameworks()[1].get_pretrained_cfg(row.model)
    if row.hub:
        assert published.hf_hub_id == row.hub
        assert published.license.lower() == row.licence.lower()


@pytest.mark.parametrize(
    "name", ["resnet50", "vgg16-4096", "vit_base_patch16_224", "tf_efficientnet_b7", "dinov2-s"]
)
def test_input_agrees_with_timm_unless_overridden(name):
    row = registry.find(name)
    config = frameworks()[1].get_pretrained_cfg(row.model)
    assert (row.interpolation, row.mean, row.std) == (
        config.interpolation,
        tuple(config.mean),
        tuple(config.std),
    )
    if name != "dinov2-s":  # 224 pixels instead of 518
        assert (row.input_size, row.crop_pct) == (config.input_size[1], config.crop_pct)


@pytest.mark.parametrize("row", CLIP, ids=lambda row: row.name)
def test_input_agrees_with_open_clip(row):
    open_clip = pytest.importorskip("open_clip")
    arch, tag = row.model.split("/")
    config = open_clip.get_pretrained_cfg(arch, tag)
    described = open_clip.get_model_config(arch)
    assert config["hf_hub"].rstrip("/") == row.hub
    assert (row.mean, row.std) == (tuple(config["mean"]), tuple(config["std"]))
    assert row.interpolation == config["interpolation"]
    assert row.crop_mode == {"shortest": "center", "squash": "squash"}[config["resize_mode"]]
    assert row.crop_pct == 1
    assert row.dim == described["embed_dim"]
    assert row.input_size == described["vision_cfg"]["image_size"]
    if config["url"]:
        assert row.sha256 in config["url"]


def test_names_are_listed_once_and_aliases_resolve():
    names = [model.name for model in models()]
    assert len(set(names)) == len(names)
    aliases = [alias for row in registry.described().values() for alias in row.aliases]
    assert not set(aliases) & set(names)
    assert registry.find("clip_vit_b32") is registry.find("clip_vit_base_patch32")
    assert registry.find("Straße") is None
    assert {row.name: row.dim for row in models()}["classic"] == ClassicEncoder().dim


@pytest.mark.parametrize(
    ("wrong", "meant"), [("resnet50-tv", "resnet50-tv2"), ("dino2-s", "dinov2")]
)
def test_unknown_name_error_suggests_a_similar_name(wrong, meant):
    with pytest.raises(ModelNotFound, match=meant):
        load(wrong)


@pytest.fixture
def torchvision_resnet(torch, tmp_path):
    """Return a seeded ResNet-50 by torchvision's own code, and its file."""
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(3)
    model = torchvision.models.resnet50(weights=None).eval()
    save_file(model.state_dict(), tmp_path / "modèle.safetensors")
    return model, tmp_path / "modèle.safetensors"


def test_resnet50_tv2_agrees_with_torchvision(torch, torchvision_resnet):
    import torchvision
    from PIL import Image

    model, file = torchvision_resnet
    pixels = np.random.default_rng(1).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    transforms = torchvision.transforms
    prepared = transforms.Compose(
        [
            transforms.Resize(256),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        ]
    )(Image.fromarray(pixels))
    model.fc = torch.nn.Identity()
    with torch.inference_mode():
        expected = model(prepared[None]).numpy()[0]
    encoder = load("resnet50-tv2", weights=file, options={"runtime": "torch"})
    np.testing.assert_allclose(
        encoder.encode([pixels])[0], expected / np.linalg.norm(expected), atol=1e-5
    )
    assert encoder.fingerprint.model == "resnet50-tv2"


def test_resnet50_gem512_ends_in_half_a_block(torch, torchvision_resnet):
    model, file = torchvision_resnet
    encoder = load("resnet50-gem512", weights=file, options={"runtime": "torch"})
    pixels = np.random.default_rng(2).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    inputs = encoder.prepare(pixels)
    mean, std = (torch.tensor(values) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        maps = ((torch.from_numpy(inputs) / 255 - mean) / std).permute(2, 0, 1)[None]
        for name, child in model.named_children():
            if name == "layer4":
                break
            maps = child(maps)
        last = model.layer4[2]
        maps = model.layer4[1](model.layer4[0](maps))
        maps = last.bn2(last.conv2(torch.relu(last.bn1(last.conv1(maps)))))
        expected = (maps.clamp(min=1e-6) ** 3).mean((2, 3)).pow(1 / 3).numpy()
    np.testing.assert_allclose(encoder.features([inputs]), expected, rtol=1e-3, atol=1e-5)
    assert encoder.dim == 512


def test_weights_with_names_of_cnnimageretrieval_are_the_same(torch, torchvision_resnet, tmp_path):
    model, file = torchvision_resnet
    children = {
        "conv1": "0",
        "bn1": "1",
        "layer1": "4",
        "layer2": "5",
        "layer3": "6",
        "layer4": "7",
    }
    theirs = {}
    for name, tensor in model.state_dict().items():
        first, _, rest = name.partition(".")
        if first in children:
            theirs[f"features.{children[first]}.{rest}"] = tensor
    theirs |= {"pool.p": torch.tensor([2.5]), "whiten.weight": torch.zeros(2048, 2048)}
    torch.save({"state_dict": theirs, "meta": {"pooling": "gem"}}, tmp_path / "gem.pth")
    pixels = np.random.default_rng(2).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    plain, other = (
        load("resnet50-gem512", weights=path, options={"runtime": "torch"})
        for path in (file, tmp_path / "gem.pth")
    )
    other_features = other.features([other.prepare(pixels)])
    # p is 2.5
    assert not np.allclose(other_features, plain.features([plain.prepare(pixels)]), rtol=1e-3)
    other._model.model.p.fill_(3.0)
    np.testing.assert_allclose(
        other.features([other.prepare(pixels)]), plain.features([plain.prepare(pixels)]), rtol=1e-4
    )


@pytest.fixture
def torchvision_vgg(torch, tmp_path):
    import torchvision

    torch.manual_seed(4)
    model = torchvision.models.vgg16(weights=None).eval()
    path = tmp_path / "vgg16.pth"
    torch.save(model.state_dict(), path)
    return model, path


def test_vgg16_loads_torchvisions_file_in_three_forms(torch, torchvision_vgg):
    model, path = torchvision_vgg
    pixels = np.random.default_rng(5).integers(0, 256, (224, 224, 3), dtype=np.uint8)
    dense = load("vgg16-4096", weights=path, options={"runtime": "torch", "crop_pct": 1.0})
    averaged = load("vgg16-512", weights=path, options={"runtime": "torch", "crop_pct": 1.0})
    greatest = load(
        "vgg16-512", weights=path, options={"runtime": "torch", "crop_pct": 1.0, "pooling": "max"}
    )
    mean, std = (torch.tensor(values) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    with torch.inference_mode():
        maps = model.features(
            ((torch.from_numpy(pixels) / 255 - mean) / std).permute(2, 0, 1)[None]
        )
        second = torch.relu(model.classifier[:5](maps.flatten(1)))
    for encoder, expected in (
        (dense, second),
        (averaged, maps.mean((2, 3))),
        (greatest, maps.amax((2, 3))),
    ):
        features = encoder.features([encoder.prepare(pixels)])
        np.testing.assert_allclose(features, expected.numpy(), rtol=1e-3, atol=1e-5)
    assert (dense.dim, averaged.dim) == (4096, 512)
    assert averaged.fingerprint.identity() != greatest.fingerprint.identity()


def test_vgg16_agrees_with_keras(torch, torchvision_vgg, tmp_path):
    """Compares with the order of Keras: BGR, 0 to 255 minus the mean, channels last."""
    h5py = pytest.importorskip("h5py")
    rng = np.random.default_rng(6)
    widths = {1: (64, 64), 2: (128, 128), 3: (256,) * 3, 4: (512,) * 3, 5: (512,) * 3}
    path, before = tmp_path / "vgg16_notop.h5", 3
    pixels = rng.integers(0, 256, (64, 100, 3), dtype=np.uint8)
    from PIL import Image

    resized = np.asarray(Image.fromarray(pixels).resize((224, 224), Image.Resampling.NEAREST))
    maps = resized[:, :, ::-1].astype(np.float32) - np.array([103.939, 116.779, 123.68], np.float32)
    maps = torch.from_numpy(maps)
    with h5py.File(path, "w") as file:
        for block, layers in widths.items():
            for number, width in enumerate(layers, 1):
                kernel = rng.normal(0, (2 / (9 * before)) ** 0.5, (3, 3, before, width))
                kernel, bias = kernel.astype(np.float32), rng.normal(size=width).astype(np.float32)
                group = file.create_group(f"block{block}_conv{number}")
                group[f"block{block}_conv{number}_W_1:0"] = kernel
                group[f"block{block}_conv{number}_b_1:0"] = bias
                # (height, width, channels) one 3 x 3 shift at a time, instead of a convolution
                padded = torch.nn.functional.pad(maps, (0, 0, 1, 1, 1, 1))
                high, wide = maps.shape[:2]
                maps = sum(
                    padded[y : y + high, x : x + wide] @ torch.from_numpy(kernel[y, x])
                    for y in range(3)
                    for x in range(3)
                )
                maps, before = torch.relu(maps + torch.from_numpy(bias)), width
            high, wide = (size // 2 for size in maps.shape[:2])
            maps = maps.reshape(high, 2, wide, 2, -1).amax((1, 3))
    encoder = load("vgg16-512-keras", weights=path, options={"runtime": "torch"})
    features = encoder.features([encoder.prepare(pixels)])
    np.testing.assert_allclose(features[0], maps.amax((0, 1)).numpy(), rtol=2e-3, atol=1e-3)


def test_best_models_have_names_by_task():
    assert registry.find("best").languages
    assert registry.find("best-images").name == "dinov2-b"
    assert Recipe.of("best").model == registry.find("best").name
    names = [name for row in registry.described().values() for name in (row.name, *row.aliases)]
    assert len(names) == len(set(names))
    for name in ("best", "best-images"):
        assert registry.find(name).quality

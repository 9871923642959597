"""Vectors out of feature maps, where a model's own way is not the one wanted."""

from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.errors import ConfigError

POOLINGS: Final = ("avg", "max", "gem")
_LEAST: Final = 1e-6  # GeM takes no power of what is below


def pooled(model: Any, pooling: str, *, half_block: bool = False) -> Any:
    """Return a torch module: images → float32 (n, channels) pooled from a timm model's maps.

    `pooling` is "avg", "max", or "gem": (mean of x^p)^(1/p), where p is 3, or as weights have it.
    What comes behind the maps is taken off the model. `half_block` takes off the last bottleneck's
    third convolution, which widens it fourfold, and its shortcut: ResNet-50 then has 512 channels.
    Source: Radenović, Tolias and Chum, Fine-tuning CNN Image Retrieval with No Human Annotation,
    IEEE Transactions on Pattern Analysis and Machine Intelligence 41 (7), 2019.

    Raises:
        ConfigError: the pooling is unknown, or the model has no such blocks, or its maps are not
            (n, channels, height, width).
    """
    torch = frameworks()[0]

    if pooling not in POOLINGS:
        raise ConfigError(f"pooling is one of {', '.join(POOLINGS)}, not {pooling!r}")
    if getattr(model, "output_fmt", "NCHW") != "NCHW":
        raise ConfigError("pooling is for models whose feature maps are channels first")
    if hasattr(model, "pre_logits"):  # VGG's dense layers, nine tenths of its weights
        model.pre_logits = torch.nn.Identity()
    if half_block:
        _halve(torch, model)
    return _pooled(torch, model, pooling)


def _pooled(torch: Any, model: Any, pooling: str) -> Any:
    class Pooled(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
        def __init__(self) -> None:
            super().__init__()
            self.model = model
            if pooling == "gem":
                self.register_buffer("p", torch.tensor(3.0))

        def forward(self, images: Any) -> Any:
            maps = self.model.forward_features(images)
            if maps.ndim != 4:
                raise ValueError(f"features of shape {tuple(maps.shape)} are no maps to pool")
            if pooling == "avg":
                return maps.mean((2, 3))
            if pooling == "max":
                return maps.amax((2, 3))
            return maps.clamp(min=_LEAST).pow(self.p).mean((2, 3)).pow(1 / self.p)

    return Pooled()


def _halve(torch: Any, model: Any) -> None:
    blocks = getattr(model, "layer4", None)
    if blocks is None or not hasattr(blocks[-1], "conv3"):
        raise ConfigError("half_block is for ResNets of bottlenecks, as ResNet-50")
    blocks[-1] = _half(torch, blocks[-1])


def _half(torch: Any, block: Any) -> Any:
    """Return the first two convolutions of a bottleneck, under their own names."""

    class Half(torch.nn.Module):  # type: ignore[misc]  # torch is not checked
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.bn1 = block.conv1, block.bn1
            self.conv2, self.bn2 = block.conv2, block.bn2

        def forward(self, maps: Any) -> Any:
            relu = torch.nn.functional.relu
            maps = relu(self.bn1(self.conv1(maps)))
            return relu(self.bn2(self.conv2(maps)))

    return Half()

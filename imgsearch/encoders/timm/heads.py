"""Pooling of feature maps to vectors, instead of a model's own pooling."""

from typing import Any, Final

from imgsearch.encoders.torch.imports import frameworks
from imgsearch.errors import ConfigError

POOLINGS: Final = ("avg", "max", "gem")
_LEAST: Final = 1e-6  # GeM clamps lower values, because it takes powers


def pool(model: Any, pooling: str, *, half_block: bool = False) -> Any:
    """Return a torch module that maps images to pooled features of a timm model, (n, channels).

    `pooling` is "avg", "max", or "gem": (mean of x^p)^(1/p), with p = 3 or the value in the
    weights. Layers after the maps are removed. `half_block` removes the last bottleneck's third
    convolution, which has four times as many channels, and its shortcut: ResNet-50 then has 512
    channels.

    Source: Radenović, Tolias and Chum, Fine-tuning CNN Image Retrieval with No Human Annotation,
    IEEE Transactions on Pattern Analysis and Machine Intelligence 41 (7), 2019.

    Raises:
        ConfigError: the pooling is unknown, the model has no bottleneck blocks, or its maps are not
            (n, channels, height, width).
    """
    torch = frameworks()[0]

    if pooling not in POOLINGS:
        raise ConfigError(f"pooling must be one of {', '.join(POOLINGS)}, not {pooling!r}")
    if getattr(model, "output_fmt", "NCHW") != "NCHW":
        raise ConfigError("pooling requires a model with channels-first feature maps")
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
                raise ValueError(f"features of shape {tuple(maps.shape)} are not feature maps")
            if pooling == "avg":
                return maps.mean((2, 3))
            if pooling == "max":
                return maps.amax((2, 3))
            return maps.clamp(min=_LEAST).pow(self.p).mean((2, 3)).pow(1 / self.p)

    return Pooled()


def _halve(torch: Any, model: Any) -> None:
    blocks = getattr(model, "layer4", None)
    if blocks is None or not hasattr(blocks[-1], "conv3"):
        raise ConfigError("half_block requires a ResNet with bottlenecks, such as ResNet-50")
    blocks[-1] = _half(torch, blocks[-1])


def _half(torch: Any, block: Any) -> Any:
    """Return the first two convolutions of a bottleneck, with the same tensor names."""

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

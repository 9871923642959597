"""Trains the last layers of a timm model, so that images of one class have similar vectors."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from imgsearch.encoders.timm.encoder import TimmEncoder
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import trained
from imgsearch.errors import ConfigError

_SCALE: Final = 20.0  # 1 / the temperature 0.05 of the paper
_PROXY_RATE: Final = 10.0  # times the rate of the layers; proxies begin at the classes' means
_SHIFT: Final = 8  # pixels; images are moved by up to so many


@dataclass(frozen=True)
class TrainingOptions:
    """How a model is trained.

    `layers` is the number of layers, counted from the last, whose weights change. `rate` is the
    learning rate of AdamW.

    Raises:
        ConfigError: a number is out of range.
    """

    epochs: int = 5
    layers: int = 8
    batch: int = 32
    rate: float = 3e-4
    seed: int = 2023

    def __post_init__(self) -> None:
        if not (1 <= self.epochs <= 1_000 and self.layers >= 1 and 2 <= self.batch <= 4_096):
            raise ConfigError(
                "training takes 1 to 1,000 epochs, at least 1 layer, and batches of 2 to 4,096 "
                f"images, not {self.epochs}, {self.layers} and {self.batch}"
            )
        if not 0 < self.rate <= 1:
            raise ConfigError(f"the learning rate must be in (0, 1], not {self.rate}")


class Trainer:
    """Trains a copy of an encoder's model with the normalized softmax loss, on the CPU.

    Each class has a proxy, a vector of unit length; an image's vector is drawn to the proxy of its
    class. Statistics of batch normalization do not change. The optimizer begins anew with each
    epoch, and an epoch's order depends on the seed and its number only, so a training that was
    interrupted between epochs gives the same weights.

    Source: Zhai, Wu, Classification is a Strong Baseline for Deep Metric Learning, BMVC 2019,
    arXiv 1811.12649.
    """

    def __init__(
        self,
        encoder: TimmEncoder,
        inputs: npt.NDArray[np.uint8],
        labels: Sequence[int],
        options: TrainingOptions,
    ) -> None:
        """Take prepared images, uint8 (n, height, width, 3), and the number of each one's class."""
        self._torch = frameworks()[0]
        module, _ = encoder.graphs()["image"]
        self._model = (
            copy.deepcopy(module).to("cpu").float().eval().requires_grad_(requires_grad=False)
        )
        self._inputs, self._options = inputs, options
        self._labels = self._torch.tensor(list(labels))
        self._layers = _last_layers(self._model.model, options.layers)
        self._proxies = self._class_means()

    def epoch(self, number: int) -> float:
        """Train on every image once; return the mean loss. `number` counts from 0."""
        torch, options = self._torch, self._options
        rng = np.random.default_rng([options.seed, number])
        order = rng.permutation(len(self._inputs))
        proxies = self._proxies.clone().requires_grad_()
        optimizer = torch.optim.AdamW(
            [
                {"params": [*self._layers.values()], "lr": options.rate},
                {"params": [proxies], "lr": options.rate * _PROXY_RATE},
            ],
            weight_decay=1e-4,
        )
        total = 0.0
        with _trainable(self._layers.values()):
            for start in range(0, len(order), options.batch):
                rows = order[start : start + options.batch]
                images = torch.from_numpy(_augment(self._inputs[rows], rng))
                vectors = torch.nn.functional.normalize(self._model(images))
                scores = _SCALE * vectors @ torch.nn.functional.normalize(proxies).T
                loss = torch.nn.functional.cross_entropy(scores, self._labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                total += float(loss.detach()) * len(rows)
        self._proxies = proxies.detach()
        return total / len(order)

    def state(self) -> dict[str, Any]:
        """Return the tensors that training changes, to be given to `resume`."""
        return {"proxies": self._proxies, **{f"layer.{k}": v for k, v in self._layers.items()}}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Continue from the tensors of `state`."""
        self._proxies = state["proxies"].clone()
        with self._torch.no_grad():
            for name, tensor in self._layers.items():
                tensor.copy_(state[f"layer.{name}"])

    def save(self, path: Path, model: str) -> None:
        """Write the weights to a file that `imgsearch.open` takes as `model`, all or nothing."""
        save(path, self._model.model.state_dict(), trained.metadata(model))

    def _class_means(self) -> Any:
        torch = self._torch
        sums, size = None, self._options.batch
        with torch.inference_mode():
            for start in range(0, len(self._inputs), size):
                images = torch.from_numpy(self._inputs[start : start + size])
                vectors = torch.nn.functional.normalize(self._model(images))
                if sums is None:
                    classes = int(self._labels.max()) + 1
                    sums = torch.zeros(classes, vectors.shape[1])
                sums.index_add_(0, self._labels[start : start + size], vectors)
        return torch.nn.functional.normalize(sums).clone()


def save(path: Path, tensors: Mapping[str, Any], metadata: Mapping[str, str]) -> None:
    """Write tensors to a .safetensors file, which replaces an older one at the end."""
    frameworks()  # reports a missing package
    from safetensors.torch import save_file

    draft = path.with_name(f".{path.name}.draft")
    contiguous = {name: tensor.detach().contiguous().clone() for name, tensor in tensors.items()}
    save_file(contiguous, draft, dict(metadata))
    draft.replace(path)


def load(path: Path) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the tensors and the metadata that `save` wrote."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, dict(file.metadata() or {})  # noqa: SIM118 - no dict


def _last_layers(model: Any, count: int) -> dict[str, Any]:
    """Return the parameters of the last `count` modules that have any, by name."""
    owners = [
        (f"{path}.{name}" if path else name, parameter, path)
        for path, module in model.named_modules()
        for name, parameter in module.named_parameters(recurse=False)
    ]
    paths = list(dict.fromkeys(path for _, _, path in owners))[-count:]
    return {name: parameter for name, parameter, path in owners if path in paths}


class _trainable:  # noqa: N801 - used as a function
    """A context in which only these parameters have gradients."""

    def __init__(self, parameters: Any) -> None:
        self._parameters = list(parameters)

    def __enter__(self) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(requires_grad=True)

    def __exit__(self, *_: object) -> None:
        for parameter in self._parameters:
            parameter.requires_grad_(requires_grad=False)
            parameter.grad = None


def _augment(images: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.uint8]:
    """Return the images, half of them mirrored, and each moved by some pixels."""
    moved = np.empty_like(images)
    for place, image in enumerate(images):
        down, right = rng.integers(-_SHIFT, _SHIFT + 1, 2)
        padded = np.pad(image, ((_SHIFT, _SHIFT), (_SHIFT, _SHIFT), (0, 0)), mode="reflect")
        height, width = image.shape[:2]
        part = padded[_SHIFT + down :, _SHIFT + right :][:height, :width]
        moved[place] = part[:, ::-1] if rng.random() < 0.5 else part
    return moved

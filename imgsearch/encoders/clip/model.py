"""An open_clip model and the weights that go into it, every tensor of them accounted for."""

import importlib.util
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imgsearch import safe_json
from imgsearch.encoders.clip import tokenizer
from imgsearch.encoders.clip.tokenizer import Tokenizer
from imgsearch.encoders.timm import model
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.weights import files, hub
from imgsearch.errors import (
    EncoderError,
    MissingExtra,
    ModelNotFound,
    WeightsInvalid,
    WeightsNotFound,
)

WEIGHTS: Final = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors",
)  # fmt: skip
"""What the weights are called in a folder or on a hub, the best first."""

CONFIG: Final = "open_clip_config.json"
TEXT_CONFIG: Final = "config.json"
"""What the configuration of a text side of Hugging Face's is called, in a folder or on a hub."""

_EXTRA: Final = ("input_resolution", "context_length", "vocab_size")  # of OpenAI's own files


@dataclass(frozen=True)
class ClipModel:
    """A torch module with encode_image and encode_text, how to feed it, and its weights' sha256.

    `config` describes the module in open_clip's words.
    """

    module: Any
    config: Mapping[str, Any]
    image_size: int
    pixels: Mapping[str, Any]
    tokenizer: Tokenizer
    digest: str


def open_clip() -> Any:
    """Return the module open_clip, imported on the first call.

    Raises:
        MissingExtra: it, or torch, is not installed.
        EncoderError: it is installed, but cannot be imported.
    """
    frameworks()
    try:
        with _quiet():
            import open_clip as module
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"CLIP models need {error.name}", extra="torch,clip", name=error.name
        ) from error
    except (ImportError, RuntimeError, OSError) as error:
        raise EncoderError(f"open_clip does not import: {error}") from error
    return module


def build(name: str, path: Path | None, *, offline: bool) -> ClipModel:
    """Return the model ``ARCH/TAG`` or ``ARCH`` with weights: a file's, a folder's, or the hub's.

    A folder is one as hubs lay it out: weights, and beside them, if the model is not one that
    open_clip describes by itself, open_clip_config.json and tokenizer.json. Beside the weights of a
    text side of Hugging Face's may lie its config.json, which is else the hub's.

    Raises:
        ModelNotFound: open_clip has no such model or tag.
        WeightsNotFound: no such file; or none given, none cached, and the hub does not answer.
        WeightsInvalid: the file holds no weights, or another model's.
        MissingExtra, EncoderError: as `open_clip`.
    """
    package = open_clip()
    arch, _, tag = name.partition("/")
    folder = path if path is not None and path.is_dir() else None
    config, pixels = _described(package, arch, tag, folder)
    tagged = (package.get_pretrained_cfg(arch, tag) if tag else None) or {}
    file = _file(folder) if folder else path or _published(package, name, offline=offline)
    files.check(file)
    files.check_named(file)
    described = _within_reach(config, folder, offline=offline)
    module = _module(package, described, quick=bool(tagged.get("quick_gelu")))
    _fill(module, model.read(file), file, name)
    return ClipModel(
        module,
        config,
        int(config["vision_cfg"]["image_size"]),
        {**_pixels(tagged), **_pixels(pixels)},
        _tokenizer(package, config["text_cfg"], folder, offline=offline),
        files.sha256(file),
    )


def repository(name: str) -> str:
    """Return the hub's repository of ``ARCH/TAG``, "" if it is not on a hub."""
    arch, _, tag = name.partition("/")
    told = open_clip().get_pretrained_cfg(arch, tag) or {}
    return str(told.get("hf_hub", "")).rstrip("/")


def beside(name: str) -> list[tuple[str, str]]:
    """Return (repository, file) of what the text side of ``ARCH/TAG`` needs besides its weights.

    It may lie in the repository of another model, and is looked for in the weights' own first.
    """
    text = (open_clip().get_model_config(name.partition("/")[0]) or {}).get("text_cfg", {})
    words, described = text.get("hf_tokenizer_name"), text.get("hf_model_name")
    wanted = [(words, each) for each in (tokenizer.FILE, tokenizer.CONFIG)] if words else []
    return wanted + ([(described, TEXT_CONFIG)] if described else [])


def _described(
    package: Any, arch: str, tag: str, folder: Path | None
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return a model's configuration, and what a folder says of its pixels."""
    if folder and (folder / CONFIG).is_file():
        try:
            read = safe_json.loads((folder / CONFIG).read_text(encoding="utf-8"))
            config = dict(read["model_cfg"])
            return {**config, "text_cfg": dict(config["text_cfg"])}, read.get("preprocess_cfg", {})
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise WeightsInvalid(f"{folder / CONFIG} describes no model: {error}") from error
    check_name(f"{arch}/{tag}" if tag else arch)
    return package.get_model_config(arch), {}


def check_name(name: str) -> None:
    """Check that open_clip has a model ``ARCH``, or ``ARCH/TAG``.

    Raises:
        ModelNotFound: it has not.
        MissingExtra, EncoderError: as `open_clip`.
    """
    package = open_clip()
    arch, _, tag = name.partition("/")
    if arch not in package.list_models():
        near = [each for each in package.list_models() if arch.lower()[:6] in each.lower()][:5]
        meant = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ModelNotFound(f"open_clip has no model {arch!r}{meant}")
    tags = package.list_pretrained_tags_by_model(arch)
    if tag and tag not in tags:
        raise ModelNotFound(f"open_clip has {arch} as {', '.join(tags) or 'no tag'}, not {tag!r}")


def _within_reach(config: dict[str, Any], folder: Path | None, *, offline: bool) -> dict[str, Any]:
    """Return the configuration with a folder in the place of a Hugging Face model's name, if any.

    transformers then asks no network, which it would do for half a minute where there is none.
    """
    from open_clip.hf_configs import arch_dict

    name = config["text_cfg"].get("hf_model_name")
    if not name:
        return config
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtra(
            f"the text side is of {name}, built by transformers",
            extra="clip",
            name="transformers",
        )
    if folder and (folder / TEXT_CONFIG).is_file():
        file = folder / TEXT_CONFIG
    else:
        try:
            file = hub.fetch(str(name), [TEXT_CONFIG], offline=offline)
        except WeightsNotFound as error:
            raise WeightsNotFound(
                f"the text side needs {TEXT_CONFIG} of {name}: {error}; put it into a folder with "
                "the weights, and give that with --weights (in Python weights=)"
            ) from error
    try:
        kind = safe_json.loads(file.read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise WeightsInvalid(f"{file} describes no text side: {error}") from error
    if kind not in arch_dict:  # of others transformers may want to run code of theirs
        raise WeightsInvalid(f"{file} describes {kind!r}; known: {', '.join(arch_dict)}")
    return {**config, "text_cfg": {**config["text_cfg"], "hf_model_name": str(file.parent)}}


def _module(package: Any, config: Mapping[str, Any], *, quick: bool) -> Any:
    """Return the module without weights; nothing is downloaded for it."""
    plain = {key: value for key, value in config.items() if key != "custom_text"}
    text = {**plain["text_cfg"], "hf_model_pretrained": False}
    vision = {**plain["vision_cfg"], "timm_model_pretrained": False}
    if "hf_model_name" not in text:
        del text["hf_model_pretrained"]
    if "timm_model_name" not in vision:
        del vision["timm_model_pretrained"]
    custom = config.get("custom_text") or "hf_model_name" in text
    kind = package.CustomTextCLIP if custom else package.CLIP
    if "multimodal_cfg" in config:
        kind = package.CoCa
    if quick:
        plain["quick_gelu"] = True
    try:
        with _quiet():
            return kind(**{**plain, "text_cfg": text, "vision_cfg": vision})
    except (OSError, TypeError, ValueError, LookupError, RuntimeError) as error:
        raise WeightsInvalid(f"open_clip cannot build the model described: {error}") from error


def _fill(module: Any, state: dict[str, Any], file: Path, name: str) -> None:
    """Put the tensors into the module, in the layouts that open_clip knows."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    if any(key.startswith(("text_model.", "vision_model.")) for key in state):
        raise WeightsInvalid(
            f"{file} is in the layout of transformers; take {WEIGHTS[0]} of the same model"
        )
    state = {key: value for key, value in state.items() if key not in _EXTRA}
    own = module.state_dict()
    try:
        state = dict(convert_state_dict(module, state))
        if "positional_embedding" in state and "positional_embedding" not in own:
            state = dict(convert_to_custom_text_state_dict(state))
    except (RuntimeError, LookupError, AttributeError, ValueError, TypeError) as error:
        raise WeightsInvalid(f"{file} is no file of open_clip's: {error}") from error
    state.pop("text.transformer.embeddings.position_ids", None)
    for scalar in ("logit_scale", "logit_bias"):  # they scale scores, which no vector has
        if scalar in own:
            state[scalar] = state.get(scalar, own[scalar]).reshape(own[scalar].shape)
        else:
            state.pop(scalar, None)
    if faults := files.differences(own, state):
        raise WeightsInvalid(f"{file} does not fit clip:{name}: {faults}{_width(state)}")
    module.load_state_dict(state, strict=True)


def _width(state: Mapping[str, Any]) -> str:
    """Tell whose weights these are by their widths, as CLIP's vision transformers have them."""
    patch = state.get("visual.conv1.weight", state.get("visual.trunk.patch_embed.proj.weight"))
    if patch is None or patch.ndim != 4:
        return ""
    return f"; they are a vision side of width {patch.shape[0]} with patches of {patch.shape[-1]}"


def _file(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise WeightsNotFound(f"{folder} holds none of {', '.join(WEIGHTS)}")


def _published(package: Any, name: str, *, offline: bool) -> Path:
    arch, _, tag = name.partition("/")
    told = (package.get_pretrained_cfg(arch, tag) if tag else None) or {}
    where = str(told.get("hf_hub", "")).rstrip("/")
    if not where:
        raise WeightsNotFound(
            f"no weights of clip:{name} are on the hub; give them with --weights FILE (weights=)"
        )
    try:
        return hub.fetch(where, WEIGHTS[:2], offline=offline)
    except WeightsNotFound as error:
        raise WeightsNotFound(
            f"no weights of clip:{name}: {error}; give its {WEIGHTS[0]} with --weights FILE "
            f"(in Python weights=), from {where}"
        ) from error


def _tokenizer(
    package: Any, text: Mapping[str, Any], folder: Path | None, *, offline: bool
) -> Tokenizer:
    """Return the tokenizer of a text side: CLIP's own, the folder's, or the hub's."""
    length = int(text.get("context_length", 77))
    published = text.get("hf_tokenizer_name")
    options = text.get("tokenizer_kwargs", {})
    if folder and (folder / tokenizer.FILE).is_file():
        return Tokenizer.published(folder, length, options)
    if not published:
        vocabulary = Path(package.__file__).parent / "bpe_simple_vocab_16e6.txt.gz"
        return Tokenizer.clip(vocabulary, length)
    # which token fills up is told beside: SigLIP's is the one that ends texts
    hub.fetch(str(published), [tokenizer.CONFIG], offline=offline)
    place = hub.fetch(str(published), [tokenizer.FILE], offline=offline).parent
    return Tokenizer.published(place, length, options)


def _pixels(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return open_clip's words for the way to a model's input in ours."""
    known: dict[str, Any] = {
        key: tuple(told[key]) for key in ("mean", "std") if told.get(key) is not None
    }
    if told.get("interpolation") in ("bicubic", "bilinear"):
        known["interpolation"] = told["interpolation"]
    modes = {"shortest": "center", "longest": "border", "squash": "squash"}
    if told.get("resize_mode") in modes:
        known["crop_mode"] = modes[told["resize_mode"]]
    return known


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop what open_clip logs on this thread, up to warnings, and leave logging as it is.

    open_clip calls ``logging.info`` and ``logging.warning``, whose records reach the filters of the
    root logger. Records of all other loggers pass by these filters.
    """
    root, thread = logging.getLogger(), threading.get_ident()

    def passes(record: logging.LogRecord) -> bool:
        return record.thread != thread or record.levelno > logging.WARNING

    handler = logging.NullHandler()  # without any handler, logging.info() adds one
    root.addHandler(handler)
    root.addFilter(passes)
    try:
        yield
    finally:
        root.removeFilter(passes)
        root.removeHandler(handler)

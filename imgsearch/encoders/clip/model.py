"""Builds open_clip models, and checks that every tensor of the weights fits."""

import importlib.util
import logging
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from imgsearch.encoders.clip import tokenizer
from imgsearch.encoders.clip.tokenizer import Tokenizer
from imgsearch.encoders.timm import model
from imgsearch.encoders.torch.imports import frameworks
from imgsearch.encoders.torch.initialization import without_random_weights
from imgsearch.encoders.weights import files, hub
from imgsearch.errors import (
    EncoderError,
    MissingExtra,
    ModelNotFound,
    WeightsInvalid,
    WeightsNotFound,
)
from imgsearch.text import load_json

WEIGHTS: Final = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors",
)  # fmt: skip
"""The file names of weights in a folder or on a hub, in order of preference."""

CONFIG: Final = "open_clip_config.json"
TEXT_CONFIG: Final = "config.json"
"""The configuration file of a Hugging Face text side."""

_EXTRA: Final = (
    "input_resolution",
    "context_length",
    "vocab_size",
)  # entries of OpenAI's files that are not tensors of the model


@dataclass(frozen=True)
class ClipModel:
    """A torch module with encode_image and encode_text, its input options and weights' sha256.

    `config` is the module's configuration in the format of open_clip.
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
        MissingExtra: open_clip or torch is not installed.
        EncoderError: open_clip is installed, but cannot be imported.
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
        raise EncoderError(f"cannot import open_clip: {error}") from error
    return module


def build(name: str, path: Path | None, *, offline: bool) -> ClipModel:
    """Build the model ``ARCH/TAG``, or ``ARCH`` with the weights of a file or a folder.

    A folder has the Hugging Face Hub layout: weights, and for a model that open_clip does not
    describe, open_clip_config.json and tokenizer.json. A Hugging Face text side also needs
    config.json, which comes from the hub if the folder does not have it.

    Raises:
        ModelNotFound: open_clip does not have the model or tag.
        WeightsNotFound: the file is missing; or no file is given or cached, and no hub responds.
        WeightsInvalid: the file has no weights, or weights of another model.
        MissingExtra, EncoderError: see `open_clip`.
    """
    package = open_clip()
    arch, _, tag = name.partition("/")
    folder = path if path is not None and path.is_dir() else None
    config, pixels = _configuration(package, arch, tag, folder)
    tagged = _published(package, arch, tag)
    if folder is not None:
        file = _find_file(folder)
    else:
        file = path or _download(package, name, offline=offline)
    files.check(file)
    files.check_named(file)
    local = _with_local_text_config(config, folder, offline=offline)
    module = _module(package, local, quick=bool(tagged.get("quick_gelu")))
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
    """Return the hub's repository of ``ARCH/TAG``. Returns "" if it has none."""
    arch, _, tag = name.partition("/")
    config = open_clip().get_pretrained_cfg(arch, tag) or {}
    return str(config.get("hf_hub", "")).rstrip("/")


def text_files(name: str) -> list[tuple[str, str]]:
    """Return (repository, file) of the files that the text side of ``ARCH/TAG`` needs.

    The repository may belong to another model. Tokenizer files in the repository of the weights
    are preferred.
    """
    text = (open_clip().get_model_config(name.partition("/")[0]) or {}).get("text_cfg", {})
    words, described = text.get("hf_tokenizer_name"), text.get("hf_model_name")
    wanted = [(words, file) for file in (tokenizer.FILE, tokenizer.CONFIG)] if words else []
    return wanted + ([(described, TEXT_CONFIG)] if described else [])


def _configuration(
    package: Any, arch: str, tag: str, folder: Path | None
) -> tuple[dict[str, Any], Mapping[str, Any]]:
    """Return a model's configuration, and the preprocessing that a folder describes."""
    if folder and (folder / CONFIG).is_file():
        try:
            read = load_json((folder / CONFIG).read_text(encoding="utf-8"))
            config = dict(read["model_cfg"])
            return {**config, "text_cfg": dict(config["text_cfg"])}, read.get("preprocess_cfg", {})
        except (OSError, ValueError, TypeError, LookupError) as error:
            raise WeightsInvalid(f"{folder / CONFIG} describes no model: {error}") from error
    check_name(f"{arch}/{tag}" if tag else arch)
    return package.get_model_config(arch), {}


def check_name(name: str) -> None:
    """Check that open_clip has a model ``ARCH``, or ``ARCH/TAG``.

    Raises:
        ModelNotFound: open_clip does not have the model.
        MissingExtra, EncoderError: see `open_clip`.
    """
    package = open_clip()
    arch, _, tag = name.partition("/")
    if arch not in package.list_models():
        near = [other for other in package.list_models() if arch.lower()[:6] in other.lower()][:5]
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise ModelNotFound(f"open_clip has no model {arch!r}{hint}")
    tags = package.list_pretrained_tags_by_model(arch)
    if tag and tag not in tags:
        raise ModelNotFound(f"open_clip has {arch} as {', '.join(tags) or 'no tag'}, not {tag!r}")


def _with_local_text_config(
    config: dict[str, Any], folder: Path | None, *, offline: bool
) -> dict[str, Any]:
    """Return the configuration with a local folder instead of the name of a Hugging Face model.

    Then transformers sends no request, which would take half a minute without a network.
    """
    from open_clip.hf_configs import arch_dict

    name = config["text_cfg"].get("hf_model_name")
    if not name:
        return config
    if importlib.util.find_spec("transformers") is None:
        raise MissingExtra(
            f"the text side {name} needs transformers",
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
                f"the text side needs {TEXT_CONFIG} of {name}: {error}. Put it into a folder with "
                "the weights, and give the folder with --weights (in Python weights=)."
            ) from error
    try:
        kind = load_json(file.read_text(encoding="utf-8"))["model_type"]
    except (OSError, ValueError, TypeError, LookupError) as error:
        raise WeightsInvalid(f"{file} describes no text side: {error}") from error
    if kind not in arch_dict:  # for other kinds transformers may run code of the repository
        raise WeightsInvalid(f"{file} describes {kind!r}; known: {', '.join(arch_dict)}")
    return {**config, "text_cfg": {**config["text_cfg"], "hf_model_name": str(file.parent)}}


def _module(package: Any, config: Mapping[str, Any], *, quick: bool) -> Any:
    """Return the module without weights; downloads nothing."""
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
        with _quiet(), without_random_weights():
            return kind(**{**plain, "text_cfg": text, "vision_cfg": vision})
    except (OSError, TypeError, ValueError, LookupError, RuntimeError) as error:
        raise WeightsInvalid(f"open_clip cannot build the described model: {error}") from error


def _fill(module: Any, state: dict[str, Any], file: Path, name: str) -> None:
    """Load tensors, in a layout that open_clip knows, into the module."""
    from open_clip.convert import convert_state_dict
    from open_clip.model import convert_to_custom_text_state_dict

    if any(key.startswith(("text_model.", "vision_model.")) for key in state):
        raise WeightsInvalid(
            f"{file} has the layout of transformers. Use {WEIGHTS[0]} of the same model."
        )
    state = {key: value for key, value in state.items() if key not in _EXTRA}
    own = module.state_dict()
    try:
        state = dict(convert_state_dict(module, state))
        if "positional_embedding" in state and "positional_embedding" not in own:
            state = dict(convert_to_custom_text_state_dict(state))
    except (RuntimeError, LookupError, AttributeError, ValueError, TypeError) as error:
        raise WeightsInvalid(f"{file} is not a file of open_clip: {error}") from error
    state.pop("text.transformer.embeddings.position_ids", None)
    for scalar in ("logit_scale", "logit_bias"):  # they scale scores and do not affect vectors
        if scalar in own:
            state[scalar] = state.get(scalar, own[scalar]).reshape(own[scalar].shape)
        else:
            state.pop(scalar, None)
    if faults := files.differences(own, state):
        raise WeightsInvalid(f"{file} does not fit clip:{name}: {faults}{_describe_width(state)}")
    module.load_state_dict(state, strict=True)


def _describe_width(state: Mapping[str, Any]) -> str:
    """Return the width and patch size of a vision transformer as text, "" for other models."""
    patch = state.get("visual.conv1.weight", state.get("visual.trunk.patch_embed.proj.weight"))
    if patch is None or patch.ndim != 4:
        return ""
    return f"; it has a vision side of width {patch.shape[0]} with patches of {patch.shape[-1]}"


def _find_file(folder: Path) -> Path:
    for name in WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    raise WeightsNotFound(f"{folder} holds none of {', '.join(WEIGHTS)}")


def _published(package: Any, arch: str, tag: str) -> Mapping[str, Any]:
    """Return open_clip's configuration of published weights. Returns {} without a tag."""
    return (package.get_pretrained_cfg(arch, tag) or {}) if tag else {}


def _download(package: Any, name: str, *, offline: bool) -> Path:
    arch, _, tag = name.partition("/")
    source = str(_published(package, arch, tag).get("hf_hub", "")).rstrip("/")
    if not source:
        raise WeightsNotFound(
            f"no weights of clip:{name} are on the hub. Give them with --weights FILE (weights=)."
        )
    try:
        return hub.fetch(source, WEIGHTS[:2], offline=offline)
    except WeightsNotFound as error:
        raise WeightsNotFound(
            f"no weights of clip:{name}: {error}. Give {WEIGHTS[0]} with --weights FILE "
            f"(in Python weights=), from {source}."
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
    # this file has the padding token; SigLIP's is its end token
    hub.fetch(str(published), [tokenizer.CONFIG], offline=offline)
    repository = hub.fetch(str(published), [tokenizer.FILE], offline=offline).parent
    return Tokenizer.published(repository, length, options)


def _pixels(config: Mapping[str, Any]) -> dict[str, Any]:
    """Convert open_clip's preprocessing options to fields of `Preprocessing`."""
    options: dict[str, Any] = {
        key: tuple(config[key]) for key in ("mean", "std") if config.get(key) is not None
    }
    if config.get("interpolation") in ("bicubic", "bilinear"):
        options["interpolation"] = config["interpolation"]
    modes = {"shortest": "center", "longest": "border", "squash": "squash"}
    if config.get("resize_mode") in modes:
        options["crop_mode"] = modes[config["resize_mode"]]
    return options


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop open_clip's log records of this thread, up to the level WARNING.

    open_clip calls ``logging.info`` and ``logging.warning``, whose records reach the filters of the
    root logger. These filters do not apply to records of other loggers.
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

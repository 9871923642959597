"""Tokenizers for text sides, with the library `tokenizers` and without torch."""

import gzip
import html
import importlib.util
import json
import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from imgsearch.errors import ConfigError, MissingExtra, WeightsInvalid
from imgsearch.text import load_json

FILE: Final = "tokenizer.json"
CONFIG: Final = "tokenizer_config.json"
_ABOUT: Final = "tokens.json"
_WAYS: Final = ("lower", "whitespace", "canonicalize")
_START, _END = "<start_of_text>", "<end_of_text>"
_WORDS: Final = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+"
_MERGES: Final = 49_152 - 256 - 2  # lines of the vocabulary file after its title
# printable ASCII without &: ftfy, which takes 0.1 s to import, and HTML's escapes change none of it
_PLAIN: Final = re.compile(r"[ -%'-~]*")
_PADS: Final = ("<pad>", "[PAD]")
_PUNCTUATION: Final = str.maketrans("", "", string.punctuation)


@dataclass(frozen=True)
class Tokenizer:
    """Converts texts to tokens, int64 (n, length), truncated or padded.

    `core` is a `tokenizers.Tokenizer`. `clean` selects the text cleaning: "whitespace" fixes
    encoding errors, HTML escapes and whitespace; "lower" also lowercases; "canonicalize" lowercases
    and removes punctuation. `start` and `end` are tokens around a text, and `strip` a token that is
    replaced by 0, unless None.

    Raises:
        ConfigError: `clean` is unknown, or `length` is below 3.
    """

    core: Any
    length: int
    clean: str = "lower"
    start: int | None = None
    end: int | None = None
    pad: int = 0
    strip: int | None = None

    def __post_init__(self) -> None:
        if self.clean not in _WAYS or self.length < 3:
            raise ConfigError(f"a tokenizer needs a clean of {_WAYS} and a length of 3 or more")

    @classmethod
    def clip(cls, vocabulary: Path, length: int = 77) -> Self:
        """Return CLIP's tokenizer from its gzipped list of merges.

        The tokens are the same as in https://github.com/openai/CLIP, except that start and end
        markers inside a text are ordinary characters.
        """
        tokenizers = _tokenizers()
        lines = gzip.decompress(vocabulary.read_bytes()).decode().split("\n")
        merges = [tuple(line.split()) for line in lines[1 : _MERGES + 1]]
        letters = _letters()
        words = [*letters, *(f"{letter}</w>" for letter in letters), *map("".join, merges)]
        ids = {word: id_ for id_, word in enumerate([*words, _START, _END])}
        core = tokenizers.Tokenizer(
            tokenizers.models.BPE(vocab=ids, merges=merges, end_of_word_suffix="</w>")
        )
        parts = tokenizers.pre_tokenizers
        core.pre_tokenizer = parts.Sequence(
            [
                parts.Split(tokenizers.Regex(_WORDS), behavior="removed", invert=True),
                parts.ByteLevel(add_prefix_space=False, use_regex=False),
            ]
        )
        return cls(core, length, "lower", ids[_START], ids[_END])

    @classmethod
    def published(cls, folder: Path, length: int, options: Mapping[str, Any]) -> Self:
        """Load the tokenizer from a folder in the Hugging Face Hub layout.

        `options` are open_clip's ``tokenizer_kwargs``.

        Raises:
            ConfigError: an option is not supported.
            WeightsInvalid: the file is not a tokenizer.
        """
        other = set(options) - {"clean", "strip_sep_token"}
        if other:
            raise ConfigError(f"the tokenizer's options {sorted(other)} are not supported")
        core = _read(folder / FILE)
        config = _config(folder / CONFIG)
        known = [_word(config.get("pad_token")), *_PADS]
        pad = next((core.token_to_id(word) for word in known if _has(core, word)), 0)
        strip = None
        if options.get("strip_sep_token"):
            words = [_word(config.get("sep_token")), "</s>", "[SEP]"]
            strip = next((core.token_to_id(word) for word in words if _has(core, word)), None)
        core.no_padding()
        core.enable_truncation(length)
        return cls(core, length, options.get("clean", "whitespace"), pad=pad, strip=strip)

    def __call__(self, texts: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the tokens, int64 (n, length), of n texts."""
        rows = np.full((len(texts), self.length), self.pad, dtype=np.int64)
        around = (self.start is not None) + (self.end is not None)
        for row, text in zip(rows, texts, strict=True):
            ids = self.core.encode(self._clean(text)).ids[: self.length - around]
            if self.start is not None:
                ids.insert(0, self.start)
            if self.end is not None:
                ids.append(self.end)
            row[: len(ids)] = ids
        if self.strip is not None:
            rows[rows == self.strip] = 0
        return rows

    def save(self, folder: Path) -> None:
        """Write the files for `load` into an existing folder."""
        (folder / FILE).write_text(self.core.to_str(), encoding="utf-8")
        about = {name: value for name, value in vars(self).items() if name != "core"}
        (folder / _ABOUT).write_text(json.dumps(about), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Load a tokenizer that `save` wrote.

        Raises:
            WeightsInvalid: the files are missing or invalid.
            MissingExtra: tokenizers or ftfy is not installed.
        """
        try:
            about = load_json((folder / _ABOUT).read_text(encoding="utf-8"))
            return cls(_read(folder / FILE), **about)
        except (OSError, ValueError, TypeError) as error:
            raise WeightsInvalid(f"{folder} holds no tokenizer: {error}") from error

    def _clean(self, text: str) -> str:
        if not _PLAIN.fullmatch(text):
            import ftfy

            text = html.unescape(html.unescape(ftfy.fix_text(text)))
        text = text.strip()
        if self.clean == "canonicalize":
            text = text.replace("_", " ").translate(_PUNCTUATION)
        text = " ".join(text.split())
        return text if self.clean == "whitespace" else text.lower()


def _letters() -> list[str]:
    """Return the characters that represent bytes in byte-level BPE, in vocabulary order.

    Source: Radford et al., Language Models are Unsupervised Multitask Learners, 2019.
    """
    codes = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    return list(map(chr, [*codes, *range(0x100, 0x100 + 256 - len(codes))]))


def _tokenizers() -> Any:
    if importlib.util.find_spec("ftfy") is None:  # reported here rather than at the first text
        raise _missing("ftfy")
    try:
        import tokenizers
    except ModuleNotFoundError as error:
        raise _missing(error.name) from error
    return tokenizers


def _missing(name: str | None) -> MissingExtra:
    return MissingExtra(f"texts need {name}", extra="clip", name=name)


def _read(file: Path) -> Any:
    try:
        return _tokenizers().Tokenizer.from_str(file.read_text(encoding="utf-8"))
    except MissingExtra:
        raise
    except Exception as error:  # the library raises Exception itself
        raise WeightsInvalid(f"{file} holds no tokenizer: {error}") from error


def _config(file: Path) -> Mapping[str, Any]:
    try:
        config = load_json(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return config if isinstance(config, dict) else {}


def _word(token: object) -> str:
    """Return the text of a special token, given as a text or as a mapping with its content."""
    return str(token.get("content", "")) if isinstance(token, dict) else str(token or "")


def _has(core: Any, word: str) -> bool:
    return bool(word) and core.token_to_id(word) is not None

"""Detects scripts in texts, such as Cyrillic, that a model's languages do not use."""

import unicodedata
from collections.abc import Mapping, Sequence
from typing import Final

_SCRIPTS: Final[Mapping[str, tuple[str, ...]]] = {
    "ar": ("ARABIC",), "bg": ("CYRILLIC",), "el": ("GREEK",), "fa": ("ARABIC",), "he": ("HEBREW",),
    "hi": ("DEVANAGARI",), "ja": ("CJK", "HIRAGANA", "KATAKANA"), "ko": ("HANGUL", "CJK"),
    "ru": ("CYRILLIC",), "th": ("THAI",), "uk": ("CYRILLIC",), "zh": ("CJK", "BOPOMOFO"),
}  # fmt: skip
"""Scripts by language, as first words of Unicode names; other languages use Latin only."""

_NAMES: Final[Mapping[str, str]] = {"CJK": "Han"}
_WIDTHS: Final = ("FULLWIDTH ", "HALFWIDTH ")


def unknown(text: str, languages: Sequence[str]) -> str:
    """Return the first script in `text` that none of `languages` uses. Returns "" if none.

    A script has a name such as "Han", "Cyrillic" or "Arabic". Every language uses Latin, "mul" uses
    all scripts, and only letters count.
    """
    if "mul" in languages:
        return ""
    known = {"LATIN"}.union(*(_SCRIPTS.get(language, ()) for language in languages))
    for letter in text:
        if not letter.isalpha():
            continue
        name = unicodedata.name(letter, "")
        for width in _WIDTHS:
            name = name.removeprefix(width)
        script = name.partition(" ")[0]
        if name and script not in known and not _is_symbol(letter, name):
            return _NAMES.get(script, script.capitalize())
    return ""


def _is_symbol(letter: str, name: str) -> bool:
    """Return whether a letter is a symbol: ª, ℵ as a sign, mathematical letters, modifiers."""
    letterlike = "\u2100" <= letter <= "\u214f"  # the block of that name
    return (
        letterlike
        or unicodedata.category(letter) == "Lm"
        or name.startswith(("MATHEMATICAL", "MICRO SIGN", "FEMININE ORDINAL", "MASCULINE ORDINAL"))
    )

"""The page's style: Gradio's default theme with system fonts, and a style sheet."""

from pathlib import Path
from typing import Any, Final

import gradio as gr

_FOLDER: Final = Path(__file__).parent
_SANS: Final = ("system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO: Final = ("ui-monospace", "Consolas", "Liberation Mono", "monospace")


def style() -> dict[str, Any]:
    """Return the theme and style sheet, as arguments for Gradio's server."""
    theme = (
        gr.themes.Default(  # strings select system fonts; the default theme loads fonts from Google
            primary_hue="blue", neutral_hue="slate", font=_SANS, font_mono=_MONO
        )
    )
    return {"theme": theme, "css": (_FOLDER / "page.css").read_text(encoding="utf-8")}


def script(name: str) -> str:
    """Return the source of a page script, for a component's `js_on_load`."""
    return (_FOLDER / f"{name}.js").read_text(encoding="utf-8")

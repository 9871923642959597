"""How the page looks: Gradio's base theme with the system's own fonts, and our style sheet."""

from pathlib import Path
from typing import Any, Final

import gradio as gr

_FOLDER: Final = Path(__file__).parent
_SANS: Final = ("system-ui", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO: Final = ("ui-monospace", "Consolas", "Liberation Mono", "monospace")


def looks() -> dict[str, Any]:
    """Return what a server of the page is told: theme and style sheet."""
    theme = gr.themes.Default(  # strings are the system's fonts; the default would ask Google
        primary_hue="blue", neutral_hue="slate", font=_SANS, font_mono=_MONO
    )
    return {"theme": theme, "css": (_FOLDER / "page.css").read_text(encoding="utf-8")}


def script(name: str) -> str:
    """Return a script of the page, for a component's `js_on_load`."""
    return (_FOLDER / f"{name}.js").read_text(encoding="utf-8")

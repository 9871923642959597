"""Parts of pages that are made from the code.

A page names its part in a line such as ``<!-- made: commands -->``.
"""

import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from tools.site import commands, rest

_ROOT: Final = Path(__file__).resolve().parents[2]


def operator_pages() -> dict[str, str | bytes]:
    """Return the READMEs of the operators, by their paths in the site."""
    return {f"operators/{name}.md": _readme(name) for name in _operator_names()}


def _operator_names() -> list[str]:
    return sorted(path.parent.name for path in (_ROOT / "operators").glob("*/README.md"))


def _readme(name: str) -> str:
    return (_ROOT / "operators" / name / "README.md").read_text(encoding="utf-8")


def _operators() -> str:
    lines = ["| operator | what |", "|---|---|"]
    for name in _operator_names():
        text = _readme(name).split("\n\n", 2)[1].replace("\n", " ")
        first = text.split(". ")[0].rstrip(".").replace("|", "\\|")
        lines.append(f"| [{name}](../operators/{name}.md) | {first} |")
    return "\n".join(lines) + "\n"


def _routes() -> str:
    return rest.page(_document())


def _document() -> dict[str, Any]:
    """Return the OpenAPI document of a service."""
    from imgsearch.archive import opened
    from imgsearch.archive.access import Keys
    from imgsearch.service import Limits, server

    with tempfile.TemporaryDirectory() as folder, opened(Path(folder)) as archive:
        keys = Keys(archive.catalog)
        with server.running(archive, keys=keys, limits=Limits(), page=False) as app:
            return app.openapi()


def _errors() -> str:
    from imgsearch.wire.problems import KINDS

    lines = ["| `code` | status | class | meaning | retry |", "|---|---|---|---|---|"]
    for cls, kind in sorted(KINDS.items(), key=lambda item: item[1].code):
        meaning = (cls.__doc__ or "").split("\n\n")[0].replace("\n", " ").strip()
        retry = f"after {kind.retry} s" if kind.retry else ""
        lines.append(f"| `{kind.code}` | {kind.status} | `{cls.__name__}` | {meaning} | {retry} |")
    return "\n".join(lines) + "\n"


def _models() -> str:
    import imgsearch

    lines = [
        "| name | model | dimensions | weights | GFLOPs an image | texts | license |",
        "|---|---|---|---|---|---|---|",
    ]
    for model in imgsearch.models():
        names = ", ".join(f"`{name}`" for name in (model.name, *model.aliases))
        size = f"{model.mb:g} MB" if model.mb else "none"
        what = "; ".join(filter(None, (model.description, model.quality)))
        texts = ", ".join(model.languages)
        lines.append(
            f"| {names} | {what} | {model.dim} | {size} | {model.gflops:g} | {texts} "
            f"| {model.licence} |"
        )
    return "\n".join(lines) + "\n"


PARTS: Final[Mapping[str, Callable[[], str]]] = {
    "commands": commands.page,
    "errors": _errors,
    "models": _models,
    "operators": _operators,
    "routes": _routes,
}

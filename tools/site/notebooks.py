"""The codelabs as pages: text, code, and the outputs of their last run."""

import re
from pathlib import Path
from typing import Final

_SCRIPT: Final = re.compile(r"<script\b.*?</script>", re.DOTALL)
# a photograph is smaller as JPEG
_PRIORITY: Final = ["text/html", "text/markdown", "image/svg+xml", "image/jpeg", "image/png"]


def pages(path: Path) -> dict[str, str | bytes]:
    """Return the page of a notebook and its pictures, by their paths in the site."""
    from nbconvert import MarkdownExporter
    from traitlets.config import Config

    name = path.stem
    exporter = MarkdownExporter(
        config=Config(NbConvertBase={"display_data_priority": [*_PRIORITY, "text/plain"]})
    )
    body, resources = exporter.from_filename(
        str(path), resources={"unique_key": name, "output_files_dir": f"{name}_files"}
    )
    body = _SCRIPT.sub("", body)
    files: dict[str, str | bytes] = {
        f"notebooks/{place}": content
        for place, content in resources["outputs"].items()
        if place in body
    }
    files[f"notebooks/{name}.md"] = body
    return files

"""Hooks of MkDocs: add pages from outside ``docs/`` and parts made from the code; adapt links.

A page keeps its path in the repository, without ``docs/``, so a relative link leads to the same
page here and in the repository. A link to a file that the site does not have becomes its text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any, Final

from tools.site import notebooks, reference

ROOT: Final = Path(__file__).resolve().parents[2]
_PAGES: Final = (
    "ARCHITECTURE.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "notebooks/README.md",
    "tests/benchmarks/README.md",
    "tests/soak/README.md",
    "imgsearch/testing/tencent/README.md",
)
_PICTURES: Final = ("data/demo.png",)
_LINK: Final = re.compile(r"(!?)\[([^\]]*)\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")
_PART: Final = re.compile(r"^`make docs` fills this page\.\n\n<!-- made: (\w+) -->$", re.MULTILINE)
_INLINE: Final = re.compile(r"<code>[^<]*</code>")
_OPTION: Final = re.compile(r"(?<![\w-])--[\w-]+")
_CODE: Final = re.compile(r"(^```.*?^```)", re.MULTILINE | re.DOTALL)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages of the repository, the notebooks, and the pages made from the code."""
    from mkdocs.structure.files import File

    pages: dict[str, str | bytes] = {}
    for path in _PAGES:
        pages[path] = (ROOT / path).read_text(encoding="utf-8")
    for path in _PICTURES:
        pages[path] = (ROOT / path).read_bytes()
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        pages |= notebooks.pages(path)
    pages |= reference.operator_pages()
    for uri, content in pages.items():
        files.append(File.generated(config, uri, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Return the page with links that lead to pages of the site."""
    del config
    uri = page.file.src_uri
    if page.file.generated_by:
        path = re.sub(r"^operators/(\w+)\.md$", r"operators/\1/README.md", uri)
    else:
        path = f"docs/{uri}"
    parts = _CODE.split(markdown)
    parts[::2] = [
        _LINK.sub(lambda link: _linked(link, uri, path, files), part) for part in parts[::2]
    ]
    return _PART.sub(lambda part: reference.PARTS[part[1]](), "".join(parts))


def on_page_content(html: str, page: Any, config: Any, files: Any) -> str:
    """Return the page with options of commands that do not break after a hyphen."""
    del page, config, files
    return _INLINE.sub(
        lambda code: _OPTION.sub(r'<span class="option">\g<0></span>', code[0]), html
    )


def _linked(link: re.Match[str], uri: str, path: str, files: Any) -> str:
    """Return a link of the file `path`, whose page is `uri`."""
    picture, text, target, anchor = link.groups()
    file = posixpath.normpath(posixpath.join(posixpath.dirname(path), target))
    place = {"README.md": "index.md", "docs": "index.md"}.get(file, file.removeprefix("docs/"))
    place = re.sub(r"\.ipynb$", ".md", place)
    place = re.sub(r"^operators/(\w+)(/README.md)?$", r"operators/\1.md", place)
    if place == "operators":
        place = "reference/operators.md"
    if files.get_file_from_path(place) is None:
        return text if (ROOT / file).exists() else link[0]  # MkDocs names a dead link
    relative = posixpath.relpath(place, posixpath.dirname(uri) or ".")
    return f"{picture}[{text}]({relative}{anchor or ''})"

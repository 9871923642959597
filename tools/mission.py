"""Writes docs/mission.md from tests/mission/rows.toml.

Run ``python -m tools.mission``. A test compares the page with the list.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
LIST: Final = ROOT / "tests/mission/rows.toml"
PAGE: Final = ROOT / "docs/mission.md"

_HEAD: Final = """# What five other systems do, here

Five public image search systems are the measure of this project: each of their features is a row. *Works* means that the named tests run it; *open*, that a part is being built; *never*, that it is not planned. `python -m tools.mission` writes this page from `tests/mission/rows.toml`, which names all tests of a row.
"""  # noqa: E501 - a paragraph of Markdown is one line


def read() -> dict[str, Any]:
    """Return the list: the names of the systems under "systems", and the rows under "row"."""
    return tomllib.loads(LIST.read_text(encoding="utf-8"))


def page() -> str:
    """Return the page in Markdown: a table for each system, and the number of rows by status."""
    rows = read()
    counts = {
        status: sum(row["status"] == status for row in rows["row"])
        for status in ("works", "open", "never")
    }
    parts = [_HEAD, f"{', '.join(f'{count} {status}' for status, count in counts.items())}.\n"]
    for system, title in rows["systems"].items():
        lines = [f"## {title}\n", "| row | feature | here | status |", "|---|---|---|---|"]
        lines += [_line(row) for row in rows["row"] if row["id"].partition(".")[0] == system]
        parts.append("\n".join(lines) + "\n")
    return "\n".join(parts)


def _line(row: dict[str, Any]) -> str:
    status = f"{row['status']}: {row['reason']}" if "reason" in row else row["status"]
    return f"| {row['id']} | {row['feature']} | {row['here']} | {status} |"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")

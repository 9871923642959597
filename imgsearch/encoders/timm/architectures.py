"""Names of timm's models, read from its files: importing timm takes 5 s and imports torch."""

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

_REGISTERED: Final = re.compile(r"^@register_model\n(?:@.*\n)*def (\w+)", re.MULTILINE)


@cache
def architectures() -> frozenset[str]:
    """Return the names of timm's models, without tags of weights; empty if timm is missing."""
    try:
        timm = find_spec("timm")
    except ValueError:  # its entry in sys.modules is None, which blocks the import
        return frozenset()
    folders = timm.submodule_search_locations if timm is not None else None
    return frozenset(
        name
        for folder in folders or ()
        for file in Path(folder, "models").glob("*.py")
        for name in _REGISTERED.findall(file.read_text(encoding="utf-8", errors="replace"))
    )

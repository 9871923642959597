"""Stands for ``os`` in the modules of Towhee 1.1.3 that run pip when a package is missing.

`import_hook` gives it to ``towhee.trainer``, ``towhee.models`` and ``towhee.data``.
"""

import logging
import os
from typing import Any, Final

_log: Final = logging.getLogger(__name__)


def system(command: str) -> int:
    """Run a command, but not pip: log it, and return 1. The import that follows then fails."""
    if command.split()[:1] == ["pip"]:
        _log.warning("Towhee would run %r. Run it yourself if an import fails.", command)
        return 1
    return os.system(command)  # noqa: S605 - Towhee's own command


def __getattr__(name: str) -> Any:
    """Return any other name of ``os``.

    Raises:
        AttributeError: ``os`` has no such name.
    """
    return getattr(os, name)

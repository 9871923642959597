"""The file of --report: a line of JSON for each file that failed."""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from imgsearch.errors import ConfigError
from imgsearch.types import Failure


def failure_writer(stack: ExitStack, path: Path | None) -> Callable[[Failure], None] | None:
    """Return a function that writes a failure to the report, or None if `path` is None.

    Raises:
        ConfigError: the report cannot be written.
    """
    if path is None:
        return None
    try:
        lines = stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the report {path} cannot be written: {error.strerror}") from error

    def write(failed: Failure) -> None:
        line = json.dumps(asdict(failed), ensure_ascii=False)
        lines.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
        lines.flush()

    return write

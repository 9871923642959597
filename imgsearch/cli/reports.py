"""The file of --report: a line of JSON for each file that failed or was passed over."""

import json
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import Any

from imgsearch.errors import ConfigError
from imgsearch.images import sources
from imgsearch.types import Failure


def report_writers(stack: ExitStack, path: Path | None) -> dict[str, Callable[[Any], None] | None]:
    """Return the arguments `on_failure` and `on_ignored` that write to the report, if it is given.

    Raises:
        ConfigError: the report cannot be written.
    """
    if path is None:
        return {"on_failure": None, "on_ignored": None}
    try:
        lines = stack.enter_context(path.open("w", encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"the report {path} cannot be written: {error.strerror}") from error

    def write(values: Mapping[str, Any]) -> None:
        line = json.dumps(values, ensure_ascii=False)
        lines.write(line.encode("utf-8", "backslashreplace").decode() + "\n")
        lines.flush()

    def on_failure(failed: Failure) -> None:
        write(asdict(failed))

    def on_ignored(ignored: str) -> None:
        write({"path": sources.printable(ignored), "ignored": True})

    return {"on_failure": on_failure, "on_ignored": on_ignored}


def failure_writer(stack: ExitStack, path: Path | None) -> Callable[[Failure], None] | None:
    """Return a function that writes a failure to the report, or None if `path` is None.

    Raises:
        ConfigError: the report cannot be written.
    """
    return report_writers(stack, path)["on_failure"]

"""JSON of files and other programs: every fault of a text is a ValueError.

>>> loads('{"k": 10}')
{'k': 10}
"""

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """Return the value that a JSON text holds, as `json.loads` does.

    Raises:
        ValueError: the text is no JSON, or is nested deeper than Python's recursion limit; json
            itself raises RecursionError then, which is no ValueError.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error

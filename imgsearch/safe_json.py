"""JSON from files and other programs: every invalid text raises ValueError.

>>> loads('{"k": 10}')
{'k': 10}
"""

import json
from typing import Any


def loads(text: str | bytes) -> Any:
    """Return the value of a JSON text, like `json.loads`.

    Raises:
        ValueError: the text is not JSON, or is nested too deeply, where `json.loads` raises
            RecursionError.
    """
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("the JSON is nested too deeply") from error

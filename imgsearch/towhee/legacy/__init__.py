"""Runs code written for Towhee 0.x: ``towhee.glob['path'](…).image_decode['path', 'img']()…``.

Towhee 1.x has none of these names. `find` gives them to the module ``towhee``. Each step of 0.x
becomes a step of a pipeline; names without an equivalent raise an error with the 1.1.3 code.
"""

from importlib import import_module
from typing import Any, Final, NoReturn

from imgsearch.errors import OperatorNotFound

_SOURCES: Final = (
    "DataFrame", "api", "dc", "from_df", "glob", "range", "read_csv", "read_json",
)  # fmt: skip
_FLAT_MAP: Final = "pipe.input('src').flat_map('src', 'row', READ), where READ yields the rows"

REPLACED: Final = {
    "State": "configuration is passed as keyword arguments of operators",
    "connectors": "ops.ann_insert.milvus_client(host=…, port=…, collection_name=…)",
    "dummy_input": "pipe.input('x'), and at the end .output('y')",
    "glob_zip": _FLAT_MAP,
    "param_scope": "configuration is passed as keyword arguments of operators",
    "pipeline": "AutoPipes.pipeline('imgsearch_embed'), or a pipeline of pipe.input(…)",
    "read_audio": _FLAT_MAP,
    "read_camera": _FLAT_MAP,
    "read_video": _FLAT_MAP,
    "read_zip": _FLAT_MAP,
}
"""Names of ``towhee`` that only 0.x has, and the 1.1.3 code to write in their place."""


def find(name: str) -> Any:
    """Return what Towhee 0.x has under ``towhee.<name>``.

    Raises:
        OperatorNotFound: the name has no equivalent here.
        AttributeError: Towhee 0.x has no such name.
    """
    if name in _SOURCES:
        return import_module(f"{__name__}.sources").SOURCES[name]
    if name == "dc2":
        return import_module("towhee.dc2")
    if name in REPLACED:
        refuse(f"towhee.{name}", REPLACED[name])
    raise AttributeError(f"module 'towhee' has no attribute {name!r}")


def refuse(name: str, replacement: str) -> NoReturn:
    """Raise the error for a name of Towhee 0.x that does not run here.

    Raises:
        OperatorNotFound: always.
    """
    raise OperatorNotFound(
        f"{name} is of Towhee 0.x and does not run here. In Towhee 1.1.3 write: {replacement}."
    )

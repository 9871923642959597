"""The names by which public Towhee code calls operators, and the folders of ours that answer them.

Imports nothing of Towhee: this runs while Towhee is being imported, see `imgsearch.__init__`.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

# what code writes after `ops.`, dashes for underscores and slashes for dots as Towhee looks it up →
# the folder in operators/, and what the name itself says of its configuration
_CALLED: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "image-decode": ("towhee_decode", {}),
    "image-decode/cv2": ("towhee_decode", {}),
    "image-decode/cv2-rgb": ("towhee_decode", {"mode": "RGB"}),
    "image-embedding/timm": ("towhee_timm", {}),
    "image-text-embedding/clip": ("towhee_clip", {}),
    "np-normalize": ("towhee_np_normalize", {}),
    "ann-insert/milvus-client": ("milvus_insert", {}),
    "ann-search/milvus-client": ("milvus_search", {}),
    "local/tcvdb-client": ("tcvdb_insert", {}),
    "local/search-tcvdb-client": ("tcvdb_search", {}),
}

PUBLIC: Final = _CALLED | {
    f"towhee/{name}": called for name, called in _CALLED.items() if not name.startswith("local/")
}
"""Each name, those of the hub also with its own author, ``towhee``, in front."""


def register(registry: MutableMapping[str, Any], shareable: Any) -> None:
    """Make Towhee's registry answer to `PUBLIC`, with classes that load nothing until called.

    Towhee looks for a name as it is, then under "anon/", then under "builtin/". Ours are under the
    last, so that an operator that a program registers itself goes before, early or late.
    """
    for name, (folder, defaults) in PUBLIC.items():
        registry[f"builtin/{name}"] = stand_in(folder, shareable, defaults)


def stand_in(folder: str, shareable: Any, defaults: Mapping[str, Any]) -> type:
    """Return a class that, when it is called, gives the operator of that folder."""

    def new(_: type, *args: Any, **config: Any) -> Any:
        from imgsearch.towhee.registry import built

        return built(folder, args, {**defaults, **config})

    return type(folder, (), {"__new__": new, "shared_type": shareable})

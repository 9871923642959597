"""Operator names used in public Towhee code, and our operator folders that implement them.

It does not import Towhee, because it runs during Towhee's import; see `import_hook`.
"""

from collections.abc import Mapping, MutableMapping
from typing import Any, Final

# name after `ops.`, in Towhee's form (dashes replace underscores, slashes replace dots) →
# folder in operators/, and the configuration that the name implies
_FOLDERS: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "image-decode": ("towhee_decode", {}),
    "image-decode/cv2": ("towhee_decode", {}),
    "image-decode/cv2-rgb": ("towhee_decode", {"mode": "RGB"}),
    "image-embedding/timm": ("towhee_timm", {}),
    "image-text-embedding/clip": ("towhee_clip", {}),
    "np-normalize": ("towhee_np_normalize", {}),
    "ann-insert/milvus-client": ("milvus_insert", {}),
    "ann-search/milvus-client": ("milvus_search", {}),
    "ann-insert/faiss-index": ("faiss_insert", {}),
    "ann-search/faiss-index": ("faiss_search", {}),
    "ann-insert/tcvdb-client": ("tcvdb_insert", {}),
    "ann-search/tcvdb-client": ("tcvdb_search", {}),
    "image-crop": ("towhee_crop", {}),
    "object-detection/yolo": ("towhee_detection", {"rows": True}),
    "object-detection/yolov5": ("towhee_detection", {}),
    "object-detection/yolov8": ("towhee_detection", {}),
    "object-detection/detectron2": ("towhee_detection", {}),
    "tensor-normalize": ("towhee_np_normalize", {}),  # Towhee 0.x
    "clip": ("towhee_clip", {}),  # Towhee 0.x
    "image-load": ("towhee_decode", {}),  # Towhee 0.x: an upload's bytes
    "local/tcvdb-client": ("tcvdb_insert", {}),
    "local/search-tcvdb-client": ("tcvdb_search", {}),
}

PUBLIC: Final = _FOLDERS | {
    f"towhee/{name}": folder for name, folder in _FOLDERS.items() if not name.startswith("local/")
}
"""All names. Names from Towhee's hub are listed with and without their author, ``towhee``."""


def register(registry: MutableMapping[str, Any], shareable: Any) -> None:
    """Register the names in `PUBLIC` with Towhee, as classes that load their folder when called.

    Towhee looks up a name unchanged, then with the prefix "anon/", then with "builtin/". Our names
    have the prefix "builtin/", so operators that a program registers itself take precedence.
    """
    for name, (folder, defaults) in PUBLIC.items():
        registry[f"builtin/{name}"] = stand_in(folder, shareable, defaults)


def stand_in(folder: str, shareable: Any, defaults: Mapping[str, Any]) -> type:
    """Return a class that returns the operator of a folder when called."""

    def new(_: type, *args: Any, **config: Any) -> Any:
        from imgsearch.towhee.registry import build_operator

        return build_operator(folder, args, {**defaults, **config})

    return type(folder, (), {"__new__": new, "shared_type": shareable})

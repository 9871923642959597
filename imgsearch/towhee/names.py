"""Operator names used in public Towhee code, and our operator folders that implement them.

It does not import Towhee, because it runs during Towhee's import; see `import_hook`.
"""

from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import OperatorNotFound

_PACKAGE: Final = Path(__file__).resolve().parents[1]
_ROOTS: Final = (_PACKAGE / "_operators", _PACKAGE.parent / "operators")  # wheel, then checkout

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
    """Register our names with Towhee, as classes that load their folder when called.

    They are those in `PUBLIC`, and ``imgsearch/FOLDER`` of each operator folder of the package.

    Towhee looks up a name unchanged, then with the prefix "anon/", then with "builtin/". Our names
    have the prefix "builtin/", so operators that a program registers itself take precedence.
    """
    for name, (folder, defaults) in PUBLIC.items():
        registry[f"builtin/{name}"] = stand_in(folder, shareable, defaults)
    with suppress(OperatorNotFound):  # an incomplete installation is no reason to fail here
        for folder in folder_names():
            name = folder.replace("_", "-")
            registry.setdefault(f"imgsearch/{name}", _own_stand_in(folder, shareable))


@cache
def folder_names() -> list[str]:
    """Return the names of the package's operator folders, sorted.

    Raises: as for `operator_folders`.
    """
    return sorted(path.parent.name for path in operator_folders().glob("*/__init__.py"))


def operator_folders() -> Path:
    """Return the folder that holds the operator folders, in the package or else in the checkout.

    Raises:
        OperatorNotFound: neither folder exists.
    """
    for root in _ROOTS:
        if root.is_dir():
            return root
    raise OperatorNotFound("the installation lacks its operator folders. Install imgsearch again.")


def stand_in(folder: str, shareable: Any, defaults: Mapping[str, Any]) -> type:
    """Return a class that returns the operator of a folder when called."""

    def new(_: type, *args: Any, **config: Any) -> Any:
        from imgsearch.towhee.registry import build_operator

        return build_operator(folder, args, {**defaults, **config})

    return type(folder, (), {"__new__": new, "shared_type": shareable})


def _own_stand_in(folder: str, shareable: Any) -> type:
    """Return a class that loads an operator folder of the package when it is called."""

    def new(_: type, *args: Any, **config: Any) -> Any:
        from imgsearch.towhee.registry import load_operator

        return load_operator(operator_folders() / folder)(*args, **config)

    return type(folder, (), {"__new__": new, "shared_type": shareable})

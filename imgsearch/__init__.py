"""Image search with composable Towhee pipelines over Milvus or Tencent VectorDB.

import imgsearch

with imgsearch.open("photos.db") as library:
    library.add("~/photos")
    hits = library.search("cat.jpg")

After this import Towhee resolves the operator names in public code, such as ``ops.image_decode``,
to the operators of this package, and no longer runs pip. Import imgsearch before Towhee, because
Towhee alone needs an old setuptools; with one, the order does not matter.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from imgsearch import distribution as _distribution
from imgsearch.towhee import import_hook as _import_hook

__version__ = _distribution.VERSION

if TYPE_CHECKING:
    from imgsearch import errors as errors
    from imgsearch.archive import Archive as Archive
    from imgsearch.backends import connect as connect
    from imgsearch.client import AsyncClient as AsyncClient
    from imgsearch.client import Client as Client
    from imgsearch.encoders import Encoder as Encoder
    from imgsearch.encoders import load as load_encoder
    from imgsearch.encoders import models as models
    from imgsearch.encoders.registered import register_encoder as register_encoder
    from imgsearch.evaluation.dry_run import plan as plan
    from imgsearch.evaluation.evaluator import evaluate as evaluate
    from imgsearch.evaluation.image_comparison import compare_images as compare_images
    from imgsearch.evaluation.model_comparison import compare_models as compare_models
    from imgsearch.filters import Field as Field
    from imgsearch.jobs.embed import embed as embed
    from imgsearch.library.copy import copy as copy
    from imgsearch.library.fusion import search_fused as search_fused
    from imgsearch.library.hits import Hits as Hits
    from imgsearch.library.library import Library as Library
    from imgsearch.library.open import open as open  # noqa: A004 - imgsearch.open reads as intended
    from imgsearch.library.progress import Progress as Progress
    from imgsearch.library.progress import Report as Report
    from imgsearch.library.progress import SyncReport as SyncReport
    from imgsearch.pipelines import embed_pipeline as embed_pipeline
    from imgsearch.pipelines import image_steps as image_steps
    from imgsearch.pipelines import insert_pipeline as insert_pipeline
    from imgsearch.pipelines import query_steps as query_steps
    from imgsearch.pipelines import search_pipeline as search_pipeline
    from imgsearch.pipelines import text_search_pipeline as text_search_pipeline
    from imgsearch.query import Query as Query
    from imgsearch.report.contact_sheet import contact_sheet as contact_sheet
    from imgsearch.towhee import op as op
    from imgsearch.types import FailedRow as FailedRow
    from imgsearch.types import Failure as Failure
    from imgsearch.types import Hit as Hit
    from imgsearch.types import Record as Record

# name → its module, imported at the first access
_HOMES = {
    "Archive": "archive",
    "AsyncClient": "client",
    "Client": "client",
    "Encoder": "encoders",
    "FailedRow": "types",
    "Failure": "types",
    "Field": "filters",
    "Hit": "types",
    "Hits": "library.hits",
    "Library": "library.library",
    "Progress": "library.progress",
    "Query": "query",
    "Record": "types",
    "Report": "library.progress",
    "SyncReport": "library.progress",
    "compare_images": "evaluation.image_comparison",
    "compare_models": "evaluation.model_comparison",
    "connect": "backends",
    "contact_sheet": "report.contact_sheet",
    "copy": "library.copy",
    "embed": "jobs.embed",
    "embed_pipeline": "pipelines",
    "errors": "",
    "evaluate": "evaluation.evaluator",
    "image_steps": "pipelines",
    "insert_pipeline": "pipelines",
    "load_encoder": "encoders",
    "models": "encoders",
    "op": "towhee",
    "open": "library.open",
    "plan": "evaluation.dry_run",
    "query_steps": "pipelines",
    "register_encoder": "encoders.registered",
    "search_fused": "library.fusion",
    "search_pipeline": "pipelines",
    "text_search_pipeline": "pipelines",
}

__all__ = [
    "AsyncClient",
    "Client",
    "Encoder",
    "FailedRow",
    "Failure",
    "Field",
    "Hit",
    "Hits",
    "Library",
    "Progress",
    "Query",
    "Record",
    "Report",
    "SyncReport",
    "__version__",
    "compare_images",
    "compare_models",
    "connect",
    "contact_sheet",
    "copy",
    "embed",
    "embed_pipeline",
    "errors",
    "evaluate",
    "image_steps",
    "insert_pipeline",
    "load_encoder",
    "models",
    "op",
    "open",
    "plan",
    "query_steps",
    "register_encoder",
    "search_fused",
    "search_pipeline",
    "text_search_pipeline",
]


def __getattr__(name: str) -> Any:
    """Return a public name. Its module is imported at the first access, so `import` is fast.

    Raises:
        AttributeError: the package has no such name, or its module needs an extra that is not
            installed. MissingExtra is not raised, because `hasattr` handles only AttributeError.
    """
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from imgsearch.errors import MissingExtra

    try:
        module = import_module(f"{__name__}.{home or name}")
    except MissingExtra as error:
        raise AttributeError(f"{__name__}.{name} is not installed: {error}") from error
    if not home:
        return module
    return getattr(module, "load" if name == "load_encoder" else name)


def __dir__() -> list[str]:
    """Return the names of this package, including names that are not imported yet.

    `Archive` is left out, because it needs an extra.
    """
    return sorted({*globals(), *__all__})


_import_hook.install()
_distribution.warn_of_namesake()

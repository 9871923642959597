"""The Towhee adapter: operators and pipelines with typed errors, and an operator registry.

It relies on internals of Towhee 1.1.3, the last release, which pyproject.toml pins. Importing this
package does not import Towhee, because `import imgsearch` installs `import_hook` from it.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgsearch.towhee.names import operator_folders as operator_folders
    from imgsearch.towhee.operator import BatchOperator as BatchOperator
    from imgsearch.towhee.operator import Operator as Operator
    from imgsearch.towhee.pipeline import Pipeline as Pipeline
    from imgsearch.towhee.pipeline import Row as Row
    from imgsearch.towhee.pipeline import Runtime as Runtime
    from imgsearch.towhee.registry import add_operators as add_operators
    from imgsearch.towhee.registry import op as op
    from imgsearch.towhee.registry import operator_names as operator_names

# public name → module
_HOMES = {
    "BatchOperator": "operator",
    "Operator": "operator",
    "Pipeline": "pipeline",
    "Row": "pipeline",
    "Runtime": "pipeline",
    "add_operators": "registry",
    "op": "registry",
    "operator_folders": "names",
    "operator_names": "registry",
}

__all__ = [
    "BatchOperator",
    "Operator",
    "Pipeline",
    "Row",
    "Runtime",
    "add_operators",
    "op",
    "operator_folders",
    "operator_names",
]


def __getattr__(name: str) -> Any:
    """Return a public name, importing its module at the first access.

    Raises:
        AttributeError: the package has no such name.
    """
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)

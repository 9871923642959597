"""The seam with Towhee: operators that keep errors whole, pipelines that hand them back.

The only package, beside `pipelines`, that imports Towhee. It relies on the insides of towhee
1.1.3, the last release, which pyproject.toml pins.
"""

from imgsearch.seam.operator import BatchOperator, Operator
from imgsearch.seam.pipeline import Pipeline, Row, Runtime
from imgsearch.seam.registry import add_operators, op, operator_folders, operator_names

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

"""Imports pandas, which small installations do not have (`requirements/small.txt`)."""

from typing import Any

from imgsearch.distribution import is_installed
from imgsearch.errors import MissingExtra


def require_pandas() -> None:
    """Check that pandas is installed, without importing it.

    Raises:
        MissingExtra: it is not.
    """
    if not is_installed("pandas"):
        raise MissingExtra(
            "data frames and tables of an evaluation need pandas, which is not installed. "
            "Run pip install 'pandas>=2.2'.",
            name="pandas",
        )


def import_pandas() -> Any:
    """Return the module pandas.

    Raises:
        MissingExtra: it is not installed.
    """
    require_pandas()
    import pandas as pd

    return pd

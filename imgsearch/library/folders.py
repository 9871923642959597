"""Relative folders in filters, which libraries compare with absolute paths."""

import os

from imgsearch.filters import Filter, Leaf, Under, Where, to_filter, with_leaves
from imgsearch.images import sources
from imgsearch.library.progress import absolute


def with_absolute_folders(where: Where | None) -> Filter | None:
    """Return a filter whose relative folders of "path" also name folders in the current one.

    Libraries store absolute paths, but collections of other programs may have relative ones.

    >>> with_absolute_folders("path under '/photos'")
    Under(field='path', folder='/photos')

    Raises:
        FieldInvalid: `where` is not a filter.
    """
    return None if where is None else with_leaves(to_filter(where), _located)


def _located(leaf: Leaf) -> Filter:
    match leaf:
        case Under("path", folder) if folder and "\0" not in folder and not os.path.isabs(folder):  # noqa: PTH117
            return leaf | Under("path", sources.printable(absolute(folder)))
    return leaf

"""Operator folder of Towhee; see README.md."""

from .object_regions import ObjectRegions

object_regions = ObjectRegions  # the name that Towhee's own loader looks for

"""Operator folder of Towhee; see README.md."""

from .normalize import Normalize

normalize = Normalize  # the name that Towhee's own loader looks for

"""Operator folder of Towhee; see README.md."""

from .towhee_decode import TowheeDecode

towhee_decode = TowheeDecode  # the name that Towhee's own loader looks for

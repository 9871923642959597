"""Operator folder of Towhee; see README.md."""

from .image_decode import ImageDecode

image_decode = ImageDecode  # the name that Towhee's own loader looks for

"""Operator folder of Towhee; see README.md."""

from .image_load import ImageLoad

image_load = ImageLoad  # the name that Towhee's own loader looks for

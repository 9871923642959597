"""Operator folder of Towhee; see README.md."""

from .image_preprocess import ImagePreprocess

image_preprocess = ImagePreprocess  # the name that Towhee's own loader looks for

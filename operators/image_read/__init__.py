"""Operator folder of Towhee; see README.md."""

from .image_read import ImageRead

image_read = ImageRead  # the name that Towhee's own loader looks for

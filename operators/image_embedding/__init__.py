"""Operator folder of Towhee; see README.md."""

from .image_embedding import ImageEmbedding

image_embedding = ImageEmbedding  # the name that Towhee's own loader looks for

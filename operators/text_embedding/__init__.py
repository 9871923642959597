"""Operator folder of Towhee; see README.md."""

from .text_embedding import TextEmbedding

text_embedding = TextEmbedding  # the name that Towhee's own loader looks for

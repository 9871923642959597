"""Operator folder of Towhee; see README.md."""

from .vector_insert import VectorInsert

vector_insert = VectorInsert  # the name that Towhee's own loader looks for

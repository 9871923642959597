"""Operator folder of Towhee; see README.md."""

from .vector_search import VectorSearch

vector_search = VectorSearch  # the name that Towhee's own loader looks for

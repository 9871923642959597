"""Operator folder of Towhee; see README.md."""

from .vector_reduce import VectorReduce

vector_reduce = VectorReduce  # the name that Towhee's own loader looks for

"""Operator folder of Towhee; see README.md."""

from .milvus_search import MilvusSearch

milvus_search = MilvusSearch  # the name that Towhee's own loader looks for

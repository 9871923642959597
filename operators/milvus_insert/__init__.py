"""Operator folder of Towhee; see README.md."""

from .milvus_insert import MilvusInsert

milvus_insert = MilvusInsert  # the name that Towhee's own loader looks for

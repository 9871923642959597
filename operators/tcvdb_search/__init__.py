"""Operator folder of Towhee; see README.md."""

from .tcvdb_search import TcvdbSearch

tcvdb_search = TcvdbSearch  # the name that Towhee's own loader looks for

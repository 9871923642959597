"""Operator folder of Towhee; see README.md."""

from .tcvdb_insert import TcvdbInsert

tcvdb_insert = TcvdbInsert  # the name that Towhee's own loader looks for

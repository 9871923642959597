"""Operator folder of Towhee; see README.md."""

from .towhee_timm import TowheeTimm

towhee_timm = TowheeTimm  # the name that Towhee's own loader looks for

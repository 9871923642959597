"""Operator folder of Towhee; see README.md."""

from .towhee_np_normalize import TowheeNpNormalize

towhee_np_normalize = TowheeNpNormalize  # the name that Towhee's own loader looks for

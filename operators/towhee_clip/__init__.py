"""Operator folder of Towhee; see README.md."""

from .towhee_clip import TowheeClip

towhee_clip = TowheeClip  # the name that Towhee's own loader looks for

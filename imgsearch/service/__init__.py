"""The HTTP service: an archive's use cases as routes, with limits and typed responses."""

from imgsearch.service.app import create_app
from imgsearch.service.limits import Limits

__all__ = ["Limits", "create_app"]

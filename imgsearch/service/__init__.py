"""The HTTP service: routes for an archive's operations, with limits and typed responses."""

from imgsearch.service.app import create_app
from imgsearch.service.limits import Limits

__all__ = ["Limits", "create_app"]

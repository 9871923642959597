"""The service over HTTP: an archive's use cases as routes, with their limits and their answers."""

from imgsearch.service.app import create_app
from imgsearch.service.limits import Limits

__all__ = ["Limits", "create_app"]

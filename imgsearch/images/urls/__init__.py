"""Images by URL, without becoming a way into the network that the service stands in.

A URL is parsed once and strictly, its host is resolved once, every address of it is checked, and
the connection goes to an address that was checked. Redirects go through all of it again.
"""

from imgsearch.images.urls.addresses import Guard, is_public
from imgsearch.images.urls.fetch import Fetched, UrlLimits, fetch

__all__ = ["Fetched", "Guard", "UrlLimits", "fetch", "is_public"]

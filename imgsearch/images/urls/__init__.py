"""Downloads images by URL, without requests into the service's private network (SSRF).

A URL is parsed once and strictly, its host is resolved once, all its addresses are checked, and the
connection uses a checked address. Redirects repeat all steps.
"""

from imgsearch.images.urls.addresses import Guard, is_public
from imgsearch.images.urls.fetch import Fetched, UrlLimits, fetch, fetcher, save
from imgsearch.images.urls.target import file_name

__all__ = [
    "Fetched",
    "Guard",
    "UrlLimits",
    "fetch",
    "fetcher",
    "file_name",
    "is_public",
    "save",
]

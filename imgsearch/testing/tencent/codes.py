"""Response codes, and exceptions for failed calls.

Source: https://cloud.tencent.com/document/product/1709. README.md lists which codes are documented
and which are guesses.
"""

from typing import Final

SUCCESS: Final = 0
INDEX_BUILDING: Final = 13101
FLAT_NO_DELETE: Final = 13200
FLAT_NO_UPDATE: Final = 13201
BAD_PARAMETER: Final = 14100
SYNTAX: Final = 15000
DATABASE_EXISTS: Final = 15201
COLLECTION_EXISTS: Final = 15202
NO_DATABASE: Final = 15301
NO_COLLECTION: Final = 15302


class Refused(Exception):
    """Makes the service respond with an error code other than 0."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Broken(Exception):
    """Makes a server respond with an HTTP error status, or drop the connection for status 0."""

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP status {status}" if status else "connection dropped")
        self.status = status

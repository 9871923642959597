"""A URL taken apart: once, strictly, so that nobody else reads another host from it."""

import re
import string
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Self
from urllib.parse import quote, urljoin

from imgsearch.errors import UrlRefused

PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 4_096  # letters; signed URLs of object stores have some 1,500
_MOST_HOST: Final = 253  # RFC 1035
# RFC 3986 without user and password, with all that follows the host optional
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[^\[\]<>@:/?#\\%|^\"`{}]{1,253}))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(r"[0-9]+|0x[0-9a-f]*")  # what makes the whole an IPv4 address


@dataclass(frozen=True, slots=True)
class Target:
    """Whom to ask, and for what. `host` is ASCII, in lower case, without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Take a URL apart.

        Raises:
            UrlRefused: it is no http or https URL, has a user or password, or writes its host's
                address in one of the forms that other programs read differently.
        """
        if len(url) > _LONGEST:
            raise UrlRefused(f"a URL has {_LONGEST:,} letters at most")
        if _unseen(url):
            raise UrlRefused("a URL holds no spaces or control characters")
        parts = _URL.fullmatch(url)
        if parts is None:
            raise UrlRefused("this is no http:// or https:// URL of a host, without a user")
        scheme = parts["scheme"].lower()
        port = int(parts["port"]) if parts["port"] else PORTS[scheme]
        if not 0 < port < 65_536:
            raise UrlRefused("a URL's port is 1 to 65,535")
        path = quote((parts["path"] or "/") + (parts["query"] or ""), safe=string.punctuation)
        return cls(scheme, _host(parts["name"], parts["v6"]), port, path)

    @property
    def authority(self) -> str:
        """What stands in a Host header: the port only if it is not the scheme's."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def shown(self) -> str:
        """Return the URL for a message: without its query, which may be a signature."""
        path = self.path.partition("?")[0]
        return f"{self.scheme}://{self.authority}{path[:100]}"

    def following(self, location: str) -> "Target":
        """Return where a redirect leads.

        Raises:
            UrlRefused: as for `parse`, or it goes from https to http.
        """
        if not location or _unseen(location):  # urljoin would drop some of these letters
            raise UrlRefused("a URL holds no spaces or control characters")
        try:
            target = Target.parse(urljoin(str(self), location))
        except ValueError as error:  # urljoin: brackets that do not match
            raise UrlRefused("this is no http:// or https:// URL") from error
        if (self.scheme, target.scheme) == ("https", "http"):
            raise UrlRefused("it goes from https to http, which nobody protects")
        return target


def _unseen(text: str) -> bool:
    return any(letter.isspace() or not letter.isprintable() for letter in text)


def _host(name: str | None, v6: str | None) -> str:
    if name is None:
        try:
            return str(IPv6Address(v6 or ""))
        except AddressValueError as error:
            raise UrlRefused("a URL's host in brackets is no IPv6 address") from error
    host = (name if name.isascii() else _ascii(name)).lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError as error:
            raise UrlRefused("an IPv4 address is written as four plain numbers") from error
    if len(host) > _MOST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("a URL's host is no name that a host may have")
    return host


def _ascii(name: str) -> str:
    """Return an international name as it is resolved, by IDNA 2008 and UTS 46."""
    import idna

    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except idna.IDNAError as error:
        raise UrlRefused("a URL's host is no name that a host may have") from error

"""Strict URL parsing, so that no other parser can find a different host."""

import re
import string
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Final, Self
from urllib.parse import quote, urljoin

from imgsearch.errors import UrlRefused

PORTS: Final = {"http": 80, "https": 443}
_LONGEST: Final = 4_096  # characters; signed URLs of object stores have about 1,500
_MOST_HOST: Final = 253  # RFC 1035
# RFC 3986 without user and password; all parts after the host are optional
_URL: Final = re.compile(
    r"(?P<scheme>https?)://"
    r"(?:\[(?P<v6>[0-9a-f:.]{2,45})\]|(?P<name>[^\[\]<>@:/?#\\%|^\"`{}]{1,253}))"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<path>/[^?#]*)?(?P<query>\?[^#]*)?(?:#.*)?",
    re.IGNORECASE,
)
_LABEL: Final = re.compile(r"(?!-)[a-z0-9_-]{1,63}(?<!-)")
_NUMERIC: Final = re.compile(
    r"[0-9]+|0x[0-9a-f]*"
)  # a last label that makes a host an IPv4 address


@dataclass(frozen=True, slots=True)
class Target:
    """The parts of a URL. `host` is ASCII, in lower case, without brackets."""

    scheme: str
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse a URL.

        Raises:
            UrlRefused: the URL is not http or https, has a user or password, or has an address in
                a form that other programs parse differently.
        """
        if len(url) > _LONGEST:
            raise UrlRefused(f"a URL may have at most {_LONGEST:,} letters")
        if _has_hidden_letters(url):
            raise UrlRefused("a URL must not have spaces or control characters")
        parts = _URL.fullmatch(url)
        if parts is None:
            raise UrlRefused("give an http:// or https:// URL with a host, and without a user")
        scheme = parts["scheme"].lower()
        port = int(parts["port"]) if parts["port"] else PORTS[scheme]
        if not 0 < port < 65_536:
            raise UrlRefused("a URL's port must be 1 to 65,535")
        path = quote((parts["path"] or "/") + (parts["query"] or ""), safe=string.punctuation)
        return cls(scheme, _host(parts["name"], parts["v6"]), port, path)

    @property
    def authority(self) -> str:
        """The value of a Host header, with the port unless it is the scheme's default."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.path}"

    def redacted(self) -> str:
        """Return the URL for messages, without its query, which may have a signature."""
        path = self.path.partition("?")[0]
        return f"{self.scheme}://{self.authority}{path[:100]}"

    def redirect(self, location: str) -> "Target":
        """Return the target of a redirect.

        Raises:
            UrlRefused: see `parse`; or the redirect goes from https to http.
        """
        if not location or _has_hidden_letters(location):  # urljoin would drop some of them
            raise UrlRefused("a URL must not have spaces or control characters")
        try:
            target = Target.parse(urljoin(str(self), location))
        except ValueError as error:  # from urljoin, for unbalanced brackets
            raise UrlRefused("give an http:// or https:// URL") from error
        if (self.scheme, target.scheme) == ("https", "http"):
            raise UrlRefused("it goes from https to http, which is not secure")
        return target


def file_name(url: str) -> str:
    """Return the last part of a URL's path, as a name for its content.

    >>> file_name("https://example.org/cats/1.jpg?size=large")
    '1.jpg'
    """
    return url.partition("?")[0].rstrip("/").rpartition("/")[2] or url


def _has_hidden_letters(text: str) -> bool:
    return any(letter.isspace() or not letter.isprintable() for letter in text)


def _host(name: str | None, v6: str | None) -> str:
    if name is None:
        try:
            return str(IPv6Address(v6 or ""))
        except AddressValueError as error:
            raise UrlRefused("a URL's host in brackets must be an IPv6 address") from error
    host = (name if name.isascii() else _ascii(name)).lower().removesuffix(".")
    labels = host.split(".")
    if _NUMERIC.fullmatch(labels[-1]):
        try:
            return str(IPv4Address(host))
        except AddressValueError as error:
            raise UrlRefused("an IPv4 address must be four plain numbers") from error
    if len(host) > _MOST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise UrlRefused("a URL's host has an invalid name")
    return host


def _ascii(name: str) -> str:
    """Return the ASCII form of an international host name (IDNA 2008 with UTS 46 mapping)."""
    import idna

    try:
        return idna.encode(name, uts46=True, std3_rules=True).decode("ascii")
    except idna.IDNAError as error:
        raise UrlRefused("a URL's host has an invalid name") from error

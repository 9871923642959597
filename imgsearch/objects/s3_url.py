"""``s3://bucket/prefix?endpoint=…``, taken apart and checked."""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from imgsearch.errors import ConfigError

# Source: docs.aws.amazon.com, "General purpose bucket naming rules"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_OPTIONS: Final = ("endpoint", "region", "public", "create")
_LONGEST: Final = 512  # bytes, of the 1,024 that a key has


@dataclass(frozen=True, slots=True)
class S3Url:
    """A bucket and where in it.

    `prefix` is "" or ends in a slash. `endpoint` is the service's address, "" for Amazon's own,
    `public` the one that links carry, "" for the same. `create`: a bucket that is not there is
    made.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    public: str = ""
    create: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read a URL; its prefix may be percent-encoded.

        Raises:
            ConfigError: it is not of that form, or holds a secret.
        """
        # no message quotes all of it: it may hold a secret
        parts = _split(url)
        if "@" in parts.netloc + parts.query or ":" in parts.netloc or parts.fragment:
            raise ConfigError("an S3 URL holds no key or secret; see the settings in the README")
        if not _BUCKET.fullmatch(parts.netloc):
            raise ConfigError(f"{parts.netloc[:80]!r} is no bucket: s3://BUCKET/PREFIX?endpoint=…")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(set(options) - set(_OPTIONS)):
            known = ", ".join(_OPTIONS)
            raise ConfigError(f"an S3 URL takes no {unknown[0][:40]!r}; it takes {known}")
        region = options.get("region") or "us-east-1"
        if not _REGION.fullmatch(region):
            raise ConfigError(f"{region[:80]!r} is no region")
        create = options.get("create", "0")
        if create not in ("0", "1"):
            raise ConfigError(f"create is 0 or 1, not {create[:40]!r}")
        return cls(
            parts.netloc,
            _prefix(unquote(parts.path)),
            _address("endpoint", options.get("endpoint", "")),
            region,
            _address("public", options.get("public", "")),
            create == "1",
        )

    def __str__(self) -> str:
        """Return the URL's one spelling, by which another process opens the same place."""
        options = {"endpoint": self.endpoint, "region": self.region, "public": self.public}
        told = urlencode({name: value for name, value in options.items() if value}, safe=":/")
        return f"s3://{self.bucket}/{quote(self.prefix.rstrip('/'))}?{told}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # its text quotes the URL
        raise ConfigError("an S3 URL is s3://BUCKET/PREFIX?endpoint=http://HOST:PORT") from None


def _prefix(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if any(part in {".", ".."} or not part.isprintable() for part in parts):
        raise ConfigError(f"{path[:80]!r} is no prefix: printable names between slashes")
    if len(path.encode()) > _LONGEST:
        raise ConfigError(f"a prefix has at most {_LONGEST} bytes")
    return "".join(f"{part}/" for part in parts)


def _address(option: str, text: str) -> str:
    """Return an address of the service, "" where there is none."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        right = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        right = right and "@" not in parts.netloc
    except ValueError:
        right = None
    if not right or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(f"{option} is http://HOST:PORT or https://HOST, and no more")
    return text.rstrip("/")

"""Parses and checks S3 URLs: ``s3://bucket/prefix?endpoint=…``."""

import re
from dataclasses import dataclass
from typing import Final, Self
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlencode, urlsplit

from imgsearch.errors import ConfigError

# Source: docs.aws.amazon.com, "General purpose bucket naming rules"
_BUCKET: Final = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,40}")
_OPTIONS: Final = ("endpoint", "region", "public", "create")
_MAX_PREFIX: Final = 512  # bytes; an S3 key has at most 1,024
_FORM: Final = "s3://BUCKET/PREFIX?endpoint=http://HOST:PORT"


@dataclass(frozen=True, slots=True)
class S3Url:
    """A bucket, a key prefix and options.

    `prefix` is "" or ends in a slash. `endpoint` is the service's address, or "" for Amazon.
    `public` is the address in links, or "" for the same as `endpoint`. If `create` is True, a
    missing bucket is created.
    """

    bucket: str
    prefix: str = ""
    endpoint: str = ""
    region: str = "us-east-1"
    public: str = ""
    create: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Parse a URL. Its prefix may be percent-encoded.

        Raises:
            ConfigError: the URL has another form, or contains a secret.
        """
        # messages never contain the whole URL, because it may contain a secret
        parts = _split(url)
        if "@" in parts.netloc + parts.query or ":" in parts.netloc or parts.fragment:
            raise ConfigError(
                "the S3 URL contains a key, a secret or a fragment. Pass keys by the environment; "
                "see the settings."
            )
        if not _BUCKET.fullmatch(parts.netloc):
            raise ConfigError(f"bucket name {parts.netloc[:80]!r} is invalid. Use {_FORM}.")
        options = dict(parse_qsl(parts.query, keep_blank_values=True))
        if unknown := sorted(set(options) - set(_OPTIONS)):
            known = ", ".join(_OPTIONS)
            raise ConfigError(f"S3 URL option {unknown[0][:40]!r} is unknown. Use {known}.")
        region = options.get("region") or "us-east-1"
        if not _REGION.fullmatch(region):
            raise ConfigError(f"S3 region {region[:80]!r} is invalid. Use letters, digits and -.")
        create = options.get("create", "0")
        if create not in ("0", "1"):
            raise ConfigError(f"S3 URL option create={create[:40]!r} is invalid. Use 0 or 1.")
        return cls(
            parts.netloc,
            _prefix(unquote(parts.path)),
            _address("endpoint", options.get("endpoint", "")),
            region,
            _address("public", options.get("public", "")),
            create == "1",
        )

    def __str__(self) -> str:
        """Return the canonical URL, without `create`."""
        options = {"endpoint": self.endpoint, "region": self.region, "public": self.public}
        query = urlencode({name: value for name, value in options.items() if value}, safe=":/")
        return f"s3://{self.bucket}/{quote(self.prefix.rstrip('/'))}?{query}"


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:  # not chained: its text quotes the URL
        raise ConfigError(f"the S3 URL is invalid. Use {_FORM}.") from None


def _prefix(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if any(part in {".", ".."} or not part.isprintable() for part in parts):
        raise ConfigError(
            f"S3 prefix {path[:80]!r} is invalid. Use printable names between slashes."
        )
    if len(path.encode()) > _MAX_PREFIX:
        raise ConfigError(f"S3 prefix {path[:80]!r}… is longer than {_MAX_PREFIX} bytes")
    return "".join(f"{part}/" for part in parts)


def _address(option: str, text: str) -> str:
    """Check an address, and return it without a trailing slash. Returns "" for an empty text."""
    if not text:
        return ""
    try:
        parts = urlsplit(text)
        valid = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
        valid = valid and "@" not in parts.netloc
    except ValueError:
        valid = None
    if not valid or parts.path.strip("/") or parts.query or parts.fragment:
        raise ConfigError(
            f"S3 URL option {option} is invalid. Use http://HOST:PORT or https://HOST."
        )
    return text.rstrip("/")

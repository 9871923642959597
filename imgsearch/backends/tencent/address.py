"""The options in a Tencent URL: shards, replicas, read consistency and a certificate file."""

from dataclasses import asdict, dataclass
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlencode

from imgsearch.errors import ConfigError

MAX_SHARDS: Final = 100  # Source: https://cloud.tencent.com/document/product/1709/103074
CONSISTENCIES: Final = ("strong", "eventual")


@dataclass(frozen=True, slots=True)
class Options:
    """Options such as ``?shards=1&replicas=0&consistency=strong&ca=/etc/tencent.pem``.

    `shards` and `replicas` apply to new collections. The minimum number of replicas depends on the
    instance: 0 in one zone, 1 in two zones, 2 in three zones. `consistency` applies to all reads;
    with "eventual" a search may miss recent writes. `ca` is a file of TLS certificates that are
    trusted instead of the system's; over HTTP, proxy environment variables are then ignored.
    """

    shards: int = 1
    replicas: int = 0
    consistency: str = "strong"
    ca: str = ""

    @classmethod
    def parse(cls, query: str) -> Self:
        """Parse a URL's query string.

        Raises:
            ConfigError: an option is unknown, or a value is out of range. The message omits the
                value, which may be a secret.
        """
        options = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := options.keys() - cls.__slots__:
            raise ConfigError(
                f"Tencent URL options {', '.join(sorted(unknown))} are unknown. Use "
                f"{', '.join(asdict(cls()))}, and IMGSEARCH_TENCENT_KEY for the key."
            )
        numbers = {"shards": (1, MAX_SHARDS), "replicas": (0, MAX_SHARDS)}
        for name, (least, most) in numbers.items():
            text = options.get(name, str(least))
            if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
                raise ConfigError(
                    f"Tencent URL option {name} must be a whole number in {least} to {most}"
                )
        consistency = options.get("consistency", "strong")
        if consistency not in CONSISTENCIES:
            raise ConfigError(
                f"Tencent URL option consistency must be {' or '.join(CONSISTENCIES)}"
            )
        return cls(
            int(options.get("shards", "1")),
            int(options.get("replicas", "0")),
            consistency,
            options.get("ca", ""),
        )

    def __str__(self) -> str:
        """Return a canonical query string: the options that differ from the defaults, sorted."""
        defaults = asdict(type(self)())
        options = {name: value for name, value in asdict(self).items() if value != defaults[name]}
        return urlencode(sorted(options.items()), quote_via=quote, safe="/")

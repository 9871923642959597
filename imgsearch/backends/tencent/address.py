"""What a Tencent URL says beside the host: shards, replicas, read consistency, a certificate."""

from dataclasses import asdict, dataclass
from typing import Final, Self
from urllib.parse import parse_qsl, quote, urlencode

from imgsearch.errors import ConfigError

MAX_SHARDS: Final = 100  # Source: https://cloud.tencent.com/document/product/1709/103074
CONSISTENCIES: Final = ("strong", "eventual")


@dataclass(frozen=True, slots=True)
class Options:
    """``?shards=1&replicas=0&consistency=strong&ca=/etc/tencent.pem``, each of them optional.

    `shards` and `replicas` are those of collections that are created. How many replicas must be
    depends on the instance: 0 in one zone, 1 or more in two, 2 or more in three. `consistency` is
    that of all reads; with "eventual" a search may miss what was just written. `ca` is a file of
    certificates to trust instead of the usual ones, for TLS; no proxy of the environment is used
    with it.
    """

    shards: int = 1
    replicas: int = 0
    consistency: str = "strong"
    ca: str = ""

    @classmethod
    def parse(cls, query: str) -> Self:
        """Read the part of a URL behind the question mark.

        Raises:
            ConfigError: an unknown option (its value is not shown: it may be a secret), or a
                value out of range.
        """
        given = dict(parse_qsl(query, keep_blank_values=True))
        if unknown := given.keys() - cls.__slots__:
            raise ConfigError(
                f"a Tencent URL takes {', '.join(asdict(cls()))}, not {', '.join(sorted(unknown))}"
                "; a key comes from IMGSEARCH_TENCENT_KEY only"
            )
        numbers = {"shards": (1, MAX_SHARDS), "replicas": (0, MAX_SHARDS)}
        for name, (least, most) in numbers.items():
            text = given.get(name, str(least))
            if not (text.isascii() and text.isdecimal() and least <= int(text[:9]) <= most):
                raise ConfigError(f"{name} must be a whole number in {least} to {most}")
        consistency = given.get("consistency", "strong")
        if consistency not in CONSISTENCIES:
            raise ConfigError(f"consistency must be {' or '.join(CONSISTENCIES)}")
        return cls(
            int(given.get("shards", "1")),
            int(given.get("replicas", "0")),
            consistency,
            given.get("ca", ""),
        )

    def __str__(self) -> str:
        """Return what `parse` reads, in one spelling: what is not the default, sorted."""
        usual = asdict(type(self)())
        said = {name: value for name, value in asdict(self).items() if value != usual[name]}
        return urlencode(sorted(said.items()), quote_via=quote, safe="/")

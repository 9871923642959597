"""Where a Milvus is, in the words of Towhee's public operators."""

from dataclasses import dataclass, field
from urllib.parse import quote

from imgsearch.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """Where a collection is, in the words of Towhee's operators. Secrets stay out of the repr.

    `uri` is ``http(s)://host:port``, or ``PATH.db`` for an embedded store, and goes before `host`
    and `port`. `token` is an API key or ``user:password``; given as `user` and `password` they
    travel over TLS, as with the hub's operator, unless `secure` is false.
    """

    host: str | None = None
    port: str | int | None = None
    uri: str | None = None
    user: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    db_name: str = ""
    secure: bool = True

    @property
    def url(self) -> str:
        """The store's URL as `imgsearch.connect` takes it.

        Raises:
            ConfigError: it is neither http(s):// nor a path that ends in .db.
        """
        database = quote(self.db_name, safe="")
        if self.uri is None:
            scheme = "milvus+https" if self.credentials and self.secure else "milvus"
            return f"{scheme}://{self.host or '127.0.0.1'}:{self.port or 19530}/{database}"
        scheme, separator, rest = self.uri.partition("://")
        if not separator:
            return self.uri
        if scheme not in ("http", "https", "tcp"):
            raise ConfigError("uri is http://HOST:PORT, https://HOST:PORT or a PATH.db")
        scheme = "milvus+https" if scheme == "https" else "milvus"
        return f"{scheme}://{rest}" if not database else f"{scheme}://{rest.rstrip('/')}/{database}"

    @property
    def credentials(self) -> str | None:
        """The token that `imgsearch.connect` takes, None without one."""
        if self.token or not self.user:
            return self.token or None
        return f"{self.user}:{self.password or ''}"

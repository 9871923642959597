"""The connection arguments of Towhee's public Milvus operators."""

from dataclasses import dataclass, field
from urllib.parse import quote

from imgsearch.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Address:
    """The address of a Milvus store, as Towhee's operators take it. The repr has no secrets.

    `uri` is ``http(s)://host:port``, or ``PATH.db`` for an embedded store, and takes precedence
    over `host` and `port`. `token` is an API key or ``user:password``. As in Towhee Hub's operator,
    a connection with credentials uses TLS unless `secure` is False.
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
        """The store's URL for `imgsearch.backends.connect`.

        Raises:
            ConfigError: `uri` has a scheme other than http, https or tcp.
        """
        database = quote(self.db_name, safe="")
        if self.uri is None:
            scheme = "milvus+https" if self.credentials and self.secure else "milvus"
            return f"{scheme}://{self.host or '127.0.0.1'}:{self.port or 19530}/{database}"
        scheme, separator, rest = self.uri.partition("://")
        if not separator:
            return self.uri
        if scheme not in ("http", "https", "tcp"):
            raise ConfigError(
                f"uri has an unknown scheme: {scheme!r}. Use http://HOST:PORT, https://HOST:PORT "
                "or PATH.db."
            )
        scheme = "milvus+https" if scheme == "https" else "milvus"
        return f"{scheme}://{rest}" if not database else f"{scheme}://{rest.rstrip('/')}/{database}"

    @property
    def credentials(self) -> str | None:
        """The token for `imgsearch.backends.connect`. None without credentials."""
        if self.token or not self.user:
            return self.token or None
        return f"{self.user}:{self.password or ''}"

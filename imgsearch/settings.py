"""Settings from the environment: the only place that reads it. Secrets come from here alone.

Surfaces read them and pass them down. `encoders.load` alone asks by itself, for the cache and
whether the network may be used: Towhee builds operators wherever it likes, from plain values.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import environ, pathsep  # noqa: TID251 - the one place
from pathlib import Path
from typing import Final, Self

from imgsearch.errors import ConfigError

DEFAULT_STORE: Final = "photos.db"
_SWITCH: Final[Mapping[str, bool]] = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip

# variable → what it is for; the README's table is tested against this
VARIABLES: Final[Mapping[str, str]] = {
    "IMGSEARCH_DB": "the store's URL, where --db is not given; photos.db by default",
    "IMGSEARCH_DATA": "a labelled folder that `imgsearch demo` takes instead of drawing one",
    "IMGSEARCH_MILVUS_TOKEN": "user:password or API key for a Milvus server",
    "IMGSEARCH_TENCENT_KEY": "the key of Tencent VectorDB's account root, or ACCOUNT:KEY",
    "IMGSEARCH_TIMEOUT": "seconds to wait for a store's answer; 10 by default",
    "IMGSEARCH_CACHE": "where pulled and exported models are kept; ~/.cache/imgsearch by default",
    "IMGSEARCH_CATALOG": "the catalogue of `imgsearch serve`: a file, or mysql://user@host/name",
    "IMGSEARCH_CATALOG_PASSWORD": "the password of that user",
    "IMGSEARCH_OBJECTS": "where it keeps originals: a folder, or s3://bucket/prefix?endpoint=URL",
    "IMGSEARCH_S3_KEY": "the access key of that S3 service",
    "IMGSEARCH_S3_SECRET": "and its secret",
    "IMGSEARCH_ROOTS": "folders that the service may add from, as in PATH; none by default",
    "IMGSEARCH_API_KEY": "the key that `imgsearch.Client` shows to a service",
    "IMGSEARCH_OFFLINE": "1: nothing is fetched, only what is on disk is used",
}


@dataclass(frozen=True)
class Settings:
    """What the environment says; None for what it does not. Secrets are kept out of `repr`."""

    db: str | None = None
    data: Path | None = None
    milvus_token: str | None = field(default=None, repr=False)
    tencent_key: str | None = field(default=None, repr=False)
    timeout: float = 10.0
    cache: Path = Path("~/.cache/imgsearch")
    offline: bool = False
    catalog: str | None = None
    catalog_password: str | None = field(default=None, repr=False)
    objects: str | None = None
    s3_key: str | None = field(default=None, repr=False)
    s3_secret: str | None = field(default=None, repr=False)
    roots: tuple[Path, ...] = ()
    api_key: str | None = field(default=None, repr=False)

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = environ) -> Self:
        """Read the variables that `VARIABLES` lists; an empty one counts as absent.

        Raises:
            ConfigError: IMGSEARCH_OFFLINE is no switch, the timeout is no positive number, or a
                folder's ``~`` is nobody's.
        """
        get = {name: value for name, value in variables.items() if value}.get
        try:
            timeout = float(get("IMGSEARCH_TIMEOUT", "10"))
        except ValueError:
            timeout = 0.0
        if not 0 < timeout < float("inf"):
            raise ConfigError("IMGSEARCH_TIMEOUT is not a positive number of seconds")
        data = get("IMGSEARCH_DATA")
        shared = get("XDG_CACHE_HOME")
        home = Path(shared) / "imgsearch" if shared else cls.cache
        return cls(
            db=get("IMGSEARCH_DB"),
            data=_folder("IMGSEARCH_DATA", data) if data else None,
            milvus_token=get("IMGSEARCH_MILVUS_TOKEN"),
            tencent_key=get("IMGSEARCH_TENCENT_KEY"),
            timeout=timeout,
            cache=_folder("IMGSEARCH_CACHE", get("IMGSEARCH_CACHE", str(home))),
            offline=_switch("IMGSEARCH_OFFLINE", get("IMGSEARCH_OFFLINE", "0")),
            catalog=get("IMGSEARCH_CATALOG"),
            catalog_password=get("IMGSEARCH_CATALOG_PASSWORD"),
            objects=get("IMGSEARCH_OBJECTS"),
            s3_key=get("IMGSEARCH_S3_KEY"),
            s3_secret=get("IMGSEARCH_S3_SECRET"),
            roots=tuple(
                _folder("IMGSEARCH_ROOTS", each)
                for each in get("IMGSEARCH_ROOTS", "").split(pathsep)
                if each
            ),
            api_key=get("IMGSEARCH_API_KEY"),
        )

    @property
    def store(self) -> str:
        """The URL of the store: the variable's, or `DEFAULT_STORE` where it is not set."""
        return self.db or DEFAULT_STORE

    def token(self, url: str) -> str | None:
        """Return the secret for the store at `url`, and no other store's."""
        return {
            "IMGSEARCH_TENCENT_KEY": self.tencent_key,
            "IMGSEARCH_MILVUS_TOKEN": self.milvus_token,
        }.get(self.secret(url))

    @staticmethod
    def secret(url: str) -> str:
        """Return the variable that holds the secret for the store at `url`, "" if it has none."""
        if url.startswith("tencent"):
            return "IMGSEARCH_TENCENT_KEY"
        return "IMGSEARCH_MILVUS_TOKEN" if url.startswith(("milvus://", "milvus+")) else ""


def _switch(variable: str, text: str) -> bool:
    word = text.strip().lower()
    if word not in _SWITCH:
        raise ConfigError(f"{variable} is {' or '.join(_SWITCH)}, not {text!r}")
    return _SWITCH[word]


def _folder(variable: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"{variable}: {error}") from error


def hush_gradio(folder: Path) -> None:
    """Keep Gradio from calling home, and its copies of uploads in `folder`.

    It takes neither as an argument: its errors are reported whatever a page says (6.31), and its
    copies would lie in the machine's shared temporary folder.
    """
    environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    environ["GRADIO_TEMP_DIR"] = str(folder)


@contextmanager
def quiet_grpc() -> Iterator[None]:
    """Have gRPC, if it is imported in here, keep its own lines off the terminal.

    Its C core prints connections that a server ended, such as "Got goaway … too_many_pings" after
    a minute of silence (1.85); failed calls raise errors all the same. It reads GRPC_VERBOSITY
    when it is imported. A value that the user set is left alone.
    """
    if "GRPC_VERBOSITY" in environ:
        yield
        return
    environ["GRPC_VERBOSITY"] = "NONE"
    try:
        yield
    finally:
        environ.pop("GRPC_VERBOSITY", None)

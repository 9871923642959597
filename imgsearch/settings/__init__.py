"""Settings from environment variables and the config file, including secrets.

No other module reads the environment.

The CLI, the service and the page read settings and pass them down. `encoders.load` also reads
them, for the cache folder and offline mode, because Towhee builds operators from plain values; and
`images.web_images`, for offline mode.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from os import environ, pathsep  # noqa: TID251 - only this module reads the environment
from pathlib import Path
from typing import Any, Final, Self

from imgsearch.errors import ConfigError
from imgsearch.settings import config_file

DEFAULT_STORE: Final = "photos.db"
TIMEOUT: Final = 60.0
"""Default time limit of a call to a vector store, in seconds.

At a load of 30 on 2 cores, Milvus 2.3.5 stored 1,000 vectors of 2,048 numbers in up to 16 s.
"""
_CONNECT: Final = 10.0  # seconds; at that load Milvus took 1 s
_SWITCH: Final[Mapping[str, bool]] = {
    "1": True, "true": True, "yes": True, "on": True,
    "0": False, "false": False, "no": False, "off": False,
}  # fmt: skip

_TERMINAL: Final = (
    "TERM", "TERM_PROGRAM", "LC_TERMINAL", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "TMUX"
)  # fmt: skip

# variable → description; tests compare the README's table with it
VARIABLES: Final[Mapping[str, str]] = {
    "IMGSEARCH_DB": "URL of the vector store if --db is not given; photos.db by default",
    "IMGSEARCH_DATA": "a labeled folder that `imgsearch demo` uses instead of its drawn images",
    "IMGSEARCH_MILVUS_TOKEN": "user:password or API key for a Milvus server",
    "IMGSEARCH_TENCENT_KEY": "key of Tencent VectorDB's account root, or ACCOUNT:KEY",
    "IMGSEARCH_TIMEOUT": "time limit for a response of the vector store, in seconds; 60 by default",
    "IMGSEARCH_CACHE": "folder for pulled and exported models, and in optimized, hashes and "
    "queries/ for what makes later starts faster; ~/.cache/imgsearch by default",
    "IMGSEARCH_CATALOG": "the catalog of `imgsearch serve`: a file, or mysql://user@host/name",
    "IMGSEARCH_CATALOG_PASSWORD": "password of the catalog's MySQL user",
    "IMGSEARCH_OBJECTS": "store of originals: a folder, or s3://bucket/prefix?endpoint=URL",
    "IMGSEARCH_S3_KEY": "access key for the S3 store of originals",
    "IMGSEARCH_S3_SECRET": "secret key for the S3 store of originals",
    "IMGSEARCH_ROOTS": "folders that the service may add from, in PATH's format; none by default",
    "IMGSEARCH_API_KEY": "API key that `imgsearch.Client` sends to a service",
    "IMGSEARCH_DETECTOR": "folder of the object detector for Towhee's `ops.object_detection`",
    "IMGSEARCH_OFFLINE": "1 disables all downloads: only files on disk are used",
    "IMGSEARCH_MODEL": "encoder of new collections if --model is not given; lite by default",
    "IMGSEARCH_WEIGHTS": "weights file of IMGSEARCH_MODEL",
    "IMGSEARCH_CONFIG": "the config file; ~/.config/imgsearch/imgsearch.toml by default",
    "IMGSEARCH_PROFILE": "the profile of the config file; by default its own choice",
}


@dataclass(frozen=True)
class Settings:
    """Values of the environment variables, or their defaults if unset. `repr` hides secrets."""

    db: str | None = None
    data: Path | None = None
    milvus_token: str | None = field(default=None, repr=False)
    tencent_key: str | None = field(default=None, repr=False)
    timeout: float = TIMEOUT
    cache: Path = Path("~/.cache/imgsearch")
    offline: bool = False
    catalog: str | None = None
    catalog_password: str | None = field(default=None, repr=False)
    objects: str | None = None
    s3_key: str | None = field(default=None, repr=False)
    s3_secret: str | None = field(default=None, repr=False)
    roots: tuple[Path, ...] = ()
    api_key: str | None = field(default=None, repr=False)
    model: str | None = None
    weights: Path | None = None
    detector: Path | None = None

    @classmethod
    def from_environment(cls, variables: Mapping[str, str] = environ) -> Self:
        """Read the variables in `VARIABLES`; `config_file` completes them.

        An empty variable counts as unset.

        Raises:
            ConfigError: the config file is invalid.
            ConfigError: IMGSEARCH_OFFLINE is not a boolean, IMGSEARCH_TIMEOUT is not a positive
                number, or a folder begins with ``~`` and the user is unknown.
        """
        get = config_file.variables_of(variables, VARIABLES).get
        try:
            timeout = float(get("IMGSEARCH_TIMEOUT", str(TIMEOUT)))
        except ValueError:
            timeout = 0.0
        if not 0 < timeout < float("inf"):
            raise ConfigError(
                f"invalid IMGSEARCH_TIMEOUT {get('IMGSEARCH_TIMEOUT')!r}: not a positive number of "
                "seconds. Set one such as 60."
            )
        data, weights = get("IMGSEARCH_DATA"), get("IMGSEARCH_WEIGHTS")
        shared = get("XDG_CACHE_HOME")
        home = Path(shared) / "imgsearch" if shared else cls.cache
        detector = get("IMGSEARCH_DETECTOR")
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
                _folder("IMGSEARCH_ROOTS", root)
                for root in get("IMGSEARCH_ROOTS", "").split(pathsep)
                if root
            ),
            api_key=get("IMGSEARCH_API_KEY"),
            model=get("IMGSEARCH_MODEL"),
            weights=_folder("IMGSEARCH_WEIGHTS", weights) if weights else None,
            detector=_folder("IMGSEARCH_DETECTOR", detector) if detector else None,
        )

    @property
    def new_encoder(self) -> dict[str, Any]:
        """The encoder of new collections, as arguments for `imgsearch.open`."""
        return {"new_model": self.model, "new_weights": self.weights}

    @property
    def store(self) -> str:
        """The URL of the vector store: `db`, or `DEFAULT_STORE` if it is not set."""
        return self.db or DEFAULT_STORE

    def token(self, url: str) -> str | None:
        """Return the secret for the store at `url`. None if no secret is needed or set."""
        return {
            "IMGSEARCH_TENCENT_KEY": self.tencent_key,
            "IMGSEARCH_MILVUS_TOKEN": self.milvus_token,
            "IMGSEARCH_S3_SECRET": self._s3_token,
        }.get(self.secret(url))

    @property
    def _s3_token(self) -> str | None:
        return f"{self.s3_key}:{self.s3_secret}" if self.s3_key and self.s3_secret else None

    @staticmethod
    def secret(url: str) -> str:
        """Return the environment variable of the secret for the store at `url`.

        Returns "" if the store needs no secret.
        """
        if url.startswith("tencent"):
            return "IMGSEARCH_TENCENT_KEY"
        if url.startswith(("s3://", "vectors:s3://")):
            return "IMGSEARCH_S3_SECRET"
        return "IMGSEARCH_MILVUS_TOKEN" if url.startswith(("milvus://", "milvus+")) else ""


def config_in_use(variables: Mapping[str, str] = environ) -> tuple[Path | None, str]:
    """Return the path of the config file in use, None without one, and the name of its profile.

    The profile is "" if the file chooses none.

    Raises:
        ConfigError: as for `Settings.from_environment`.
    """
    return config_file.in_use(variables, VARIABLES)


def connect_timeout(timeout: float) -> float:
    """Return the time limit for connecting to a server whose calls have the limit `timeout`."""
    return min(timeout, _CONNECT)


def terminal_variables(variables: Mapping[str, str] = environ) -> dict[str, str]:
    """Return the variables by which a terminal names itself."""
    return {name: variables[name] for name in _TERMINAL if name in variables}


def own_store(variables: Mapping[str, str] = environ) -> Path:
    """Return the path of the user's own library, in the system's folder for data."""
    home = config_file.user_folder(variables, "XDG_DATA_HOME", ".local/share", "LOCALAPPDATA")
    return _folder("HOME", str(home / "library.db"))


def _switch(variable: str, text: str) -> bool:
    word = text.strip().lower()
    if word not in _SWITCH:
        raise ConfigError(f"invalid {variable} {text!r}: set one of {', '.join(_SWITCH)}.")
    return _SWITCH[word]


def _folder(variable: str, text: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:
        raise ConfigError(f"invalid {variable} {text!r}: {error}") from error


def hush_gradio(folder: Path) -> None:
    """Disable Gradio's analytics, and keep its copies of uploads in `folder`.

    Environment variables are needed because Gradio 6.31 reports errors even if a page disables
    analytics, and stores uploads in the shared temporary folder by default.
    """
    environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    environ["GRADIO_TEMP_DIR"] = str(folder)


@contextmanager
def quiet_grpc() -> Iterator[None]:
    """Silence gRPC's own log lines, if gRPC is imported inside the block. Calls still raise errors.

    gRPC 1.85 prints each connection that a server closes, such as "Got goaway … too_many_pings"
    after a minute without calls. It reads GRPC_VERBOSITY at import. A value that is set is kept.
    """
    if "GRPC_VERBOSITY" in environ:
        yield
        return
    environ["GRPC_VERBOSITY"] = "NONE"
    try:
        yield
    finally:
        environ.pop("GRPC_VERBOSITY", None)

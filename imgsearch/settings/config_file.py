"""The config file: settings by profile, which environment variables override.

A file in the current folder is not read by itself, because the folder may be another person's, and
its settings could send your keys to another server.
"""

import sys
from collections.abc import Collection, Mapping
from os import pathsep
from pathlib import Path
from typing import Any, Final

from imgsearch.errors import ConfigError
from imgsearch.text import did_you_mean

_PREFIX: Final = "IMGSEARCH_"
_PROFILES: Final = "profiles"
_CONFIG: Final = "IMGSEARCH_CONFIG"
_PROFILE: Final = "IMGSEARCH_PROFILE"


def variables_of(variables: Mapping[str, str], known: Collection[str]) -> Mapping[str, str]:
    """Return environment variables, completed by the profile of the config file.

    The file is the one in IMGSEARCH_CONFIG, or `default_path`, which may be missing. Its keys are
    the variables in `known`, without IMGSEARCH_ and in lower case. Keys at the top are for all
    profiles; the table ``[profiles.NAME]`` has the keys of one. The profile is the one in
    IMGSEARCH_PROFILE, or the file's ``profile``. An empty variable counts as unset.

    Raises:
        ConfigError: the file cannot be read, or has an unknown key or an invalid value; or there is
            no such profile.
    """
    given = {name: value for name, value in variables.items() if value}
    file = config_path(given)
    if file is None:
        if _PROFILE in given:
            raise ConfigError(
                f"{_PROFILE} is {given[_PROFILE]!r}, but there is no config file "
                f"{default_path(given)}. Create it, or name one in {_CONFIG}."
            )
        return given
    return {**_read(file, given.get(_PROFILE), known)[1], **given}


def in_use(variables: Mapping[str, str], known: Collection[str]) -> tuple[Path | None, str]:
    """Return the path of the file that `variables_of` reads, None without one, and the profile.

    The profile is "" if none is chosen.

    Raises:
        ConfigError: as for `variables_of`.
    """
    variables_of(variables, known)  # for its errors
    given = {name: value for name, value in variables.items() if value}
    file = config_path(given)
    return file, "" if file is None else _read(file, given.get(_PROFILE), known)[0]


def config_path(variables: Mapping[str, str]) -> Path | None:
    """Return the path of the config file, or None if there is none.

    Raises:
        ConfigError: IMGSEARCH_CONFIG names a file that does not exist.
    """
    named = variables.get(_CONFIG)
    file = Path(named) if named else default_path(variables)
    try:
        file = file.expanduser()
        if file.is_file():
            return file
    except (OSError, RuntimeError, ValueError) as error:
        raise ConfigError(f"cannot read the config file {str(file)!r}: {error}") from error
    if named:
        raise ConfigError(f"the config file {named!r} in {_CONFIG} does not exist.")
    return None


def default_path(variables: Mapping[str, str]) -> Path:
    """Return the usual path of the config file, in the user's folder for settings."""
    return user_folder(variables, "XDG_CONFIG_HOME", ".config", "APPDATA") / "imgsearch.toml"


def user_folder(variables: Mapping[str, str], xdg: str, unix: str, windows: str) -> Path:
    """Return imgsearch's folder among the user's, for settings or for data; it may begin with ~.

    `xdg` and `windows` are the variables that name the user's folder, `unix` is its usual path.

    Source: the XDG Base Directory Specification, which ignores relative paths; Apple's and
    Microsoft's guides for applications.
    """
    named = Path(variables.get(xdg, ""))
    if named.is_absolute():
        home = named
    elif sys.platform == "darwin":
        home = Path("~/Library/Application Support")
    elif sys.platform == "win32":
        usual = "Local" if windows == "LOCALAPPDATA" else "Roaming"
        home = Path(variables.get(windows) or f"~/AppData/{usual}")
    else:
        home = Path("~", unix)
    return home / "imgsearch"


def _read(file: Path, profile: str | None, known: Collection[str]) -> tuple[str, dict[str, str]]:
    """Return the name of the profile, and the values by their variables."""
    import tomllib

    try:
        with file.open("rb") as stream:
            content = tomllib.load(stream)
    except OSError as error:
        raise ConfigError(f"cannot read the config file {file}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigError(f"the config file {file} is not TOML: {error}") from error
    profiles = content.pop(_PROFILES, {})
    chosen = profile or content.pop("profile", None)
    content.pop("profile", None)
    if not isinstance(profiles, dict) or not all(isinstance(p, dict) for p in profiles.values()):
        raise ConfigError(f"{file}: write each profile as a table [{_PROFILES}.NAME].")
    if chosen is not None and chosen not in list(profiles):
        names = f": it has {', '.join(profiles)}" if profiles else ""
        raise ConfigError(
            f"{file} has no profile {chosen!r}{names}{did_you_mean(chosen, profiles)}"
        )
    values = content if chosen is None else {**content, **profiles[chosen]}
    keys = {n.removeprefix(_PREFIX).lower(): n for n in known if n not in (_CONFIG, _PROFILE)}
    for key in [*content, *(key for table in profiles.values() for key in table)]:
        if key not in keys:
            raise ConfigError(f"{file}: unknown key {key!r}{did_you_mean(key, keys)}")
    return chosen or "", {keys[key]: _text(file, key, value) for key, value in values.items()}


def _text(file: Path, key: str, value: Any) -> str:
    """Return a value as the text of its environment variable. Errors do not show it."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return pathsep.join(value)
    if isinstance(value, str | int | float):  # a boolean is "True" or "False"
        return str(value)
    raise ConfigError(f"{file}: the value of {key!r} must be a text, a number or true or false.")

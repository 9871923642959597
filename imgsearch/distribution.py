"""The distribution of imgsearch, and a check for an unrelated one with the same package name."""

import os
import warnings
from typing import Final

VERSION = "0.2.0"  # the build reads this line
NAME: Final = "towhee-imgsearch"
NAMESAKE: Final = "imgsearch"  # unrelated: reverse search by TinyCLIP
_PACKAGE: Final = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120


def install_hint(extra: str = "") -> str:
    """Return the command that installs imgsearch with `extra`, such as "torch,clip".

    It installs from a checkout, because no release exists yet and `NAMESAKE` is another program.
    """
    return f"pip install '.[{extra}]' in a checkout" if extra else "pip install . in a checkout"


def is_installed(package: str) -> bool:
    """Return whether a package is installed, without importing it."""
    from importlib.util import find_spec

    try:
        return find_spec(package) is not None
    except ValueError:  # its entry in sys.modules is None, which blocks the import
        return False


def shared_with_namesake(package: str = _PACKAGE) -> str:
    """Return a warning if pip also installed `NAMESAKE` into the folder `package`, otherwise "".

    Lists the parent folder and opens only matching metadata, to keep the import of imgsearch fast.
    """
    site = os.path.dirname(package)  # noqa: PTH120
    try:
        names = os.listdir(site)  # noqa: PTH208
    except OSError:  # for example inside a zip file
        return ""
    prefix = f"{NAMESAKE}-"
    metadata = [name for name in names if name.startswith(prefix) and name.endswith("-info")]
    if not any(_is_foreign(os.path.join(site, name)) for name in metadata):  # noqa: PTH118
        return ""
    return (
        f"two programs share the folder {package}: {NAME} and another one, {NAMESAKE}. "
        f"Run pip uninstall {NAMESAKE} {NAME}, then {install_hint()}."
    )


def warn_of_namesake() -> None:
    """Emit the warning of `shared_with_namesake`, if any."""
    if message := shared_with_namesake():
        warnings.warn(message, RuntimeWarning, stacklevel=2)


def _is_foreign(folder: str) -> bool:
    """Return whether a metadata folder belongs to `NAMESAKE`, not to an early imgsearch."""
    for name in ("METADATA", "PKG-INFO"):
        try:
            with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:  # noqa: PTH118, PTH123
                return not any(line.startswith("Requires-Dist: towhee") for line in file)
        except OSError:
            continue
    return False

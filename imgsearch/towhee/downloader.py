"""Stands for ``towhee.hub.downloader`` of Towhee 1.1.3, whose hub no longer exists.

`import_hook` gives it to Towhee. It finds the folders of downloaded operators, and it imports
neither requests, tqdm nor tenacity.
"""

from functools import partial
from pathlib import Path
from typing import Final, NoReturn

from imgsearch.errors import OperatorNotFound


def refuse_download(
    kind: str, author: str, repository: str, *_rest: object, **_options: object
) -> NoReturn:
    """Refuse a download from Towhee's hub.

    `require_operator` and `require_pipeline` refuse unknown names earlier and suggest similar ones.

    Raises:
        OperatorNotFound: always.
    """
    raise OperatorNotFound(
        f"no {kind} {author}/{repository} on this machine: Towhee's hub no longer exists, so "
        "nothing is downloaded. Register it yourself, or use one of imgsearch's."
    )


download_operator: Final = partial(refuse_download, "operator")
download_pipeline: Final = partial(refuse_download, "pipeline")


def set_hub_url(_url: str) -> None:
    """Do nothing, because nothing is downloaded."""


def repo_tag_path(root: Path, tag: str) -> Path:
    """Return the folder of a version of an operator or pipeline that was downloaded to `root`."""
    return Path(root).absolute() / "versions" / tag.replace("-", "_").replace(".", "_")

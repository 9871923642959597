"""The page of licenses lists every dependency, with the license in its metadata."""

from importlib import metadata

import pytest

from tools import licenses

PAIRS = sorted({pair for packages in licenses.dependencies().values() for pair in packages})


def test_page_lists_every_dependency_once_an_extra():
    page = licenses.PAGE.read_text(encoding="utf-8")
    sections = page.split("\n## ")[1:]
    extras = {extra: packages for extra, packages in licenses.dependencies().items() if packages}
    assert len(sections) == len(extras)
    for section, (extra, packages) in zip(sections, extras.items(), strict=True):
        assert extra in section.split("\n")[0].lower()
        rows = section.split("|---|---|\n")[1].strip().splitlines()
        assert [row.split("`")[1] for row in rows] == packages


@pytest.mark.parametrize("package", PAIRS)
def test_license_of_a_dependency_is_known(package):
    try:
        assert licenses.license_of(package).strip()
    except metadata.PackageNotFoundError:
        pytest.fail(f"{package} is not installed: name its license in tools/licenses.py")

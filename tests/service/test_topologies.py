"""The same archive in one folder and on the servers of a team."""

from imgsearch.archive import CollectionOptions, opened
from imgsearch.query import SearchOptions
from imgsearch.settings import Settings
from tests.archive.place import images, state
from tests.service.topologies import team, topology  # noqa: F401 - fixtures


def test_added_images_are_found_after_reopening(topology, tmp_path):  # noqa: F811
    with opened(tmp_path, creation=CollectionOptions("classic"), **topology.arguments()) as archive:
        added = archive.add(images(0, 3))
    assert (added.report.added, list(added.report.failures)) == (3, [])
    with opened(tmp_path, creation=CollectionOptions("classic"), **topology.arguments()) as archive:
        rows, vectors, originals = state(archive)
        assert rows["ready"] == len(vectors) == len(originals) == 3
        assert {entry.name for entry in archive.entries().entries} == {
            "bild ü 0.jpg", "bild ü 1.jpg", "bild ü 2.jpg",
        }  # fmt: skip
        (hit,) = archive.search(images(1, 2)[0].data, SearchOptions(k=1))
        assert hit.entry.name == "bild ü 1.jpg"
        assert archive.delete([entry.id for entry in archive.entries().entries]) == 3
        assert state(archive)[1:] == (set(), set())


def test_environment_equals_the_arguments(topology):  # noqa: F811
    settings = Settings.from_environment(topology.environment())
    arguments = topology.arguments()
    assert settings.db == arguments["db"]
    assert settings.token(settings.db) == arguments["token"]
    assert (settings.catalog, settings.catalog_password) == (
        arguments["catalog"],
        arguments["catalog_password"],
    )
    assert (settings.objects, settings.s3_key, settings.s3_secret) == (
        arguments["originals"], arguments["s3_key"], arguments["s3_secret"],
    )  # fmt: skip


def test_secrets_are_not_shown(topology):  # noqa: F811
    for secret in (topology.token, topology.password, topology.secret):
        assert secret is None or secret not in repr(topology)

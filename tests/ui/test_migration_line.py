"""The page's line about a change of the model."""

from importlib.util import find_spec

import pytest

from imgsearch.archive import Jobs, MigrationRequest, migration_of
from imgsearch.library.migration import MigrationOptions, recipe_of
from tests.archive.place import archive, images

if find_spec("gradio") is None:
    pytest.skip("needs the extra ui", allow_module_level=True)


def test_line_shows_the_progress_of_a_migration(tmp_path):
    from imgsearch.ui.migration_line import migration_line

    with archive(tmp_path, db=f"memory://line-{tmp_path.name}") as opened:
        assert migration_line(opened, None, "images") == ("", False)
        opened.add(images(0, 3))
        jobs = Jobs(opened, workers=0)  # they stay queued
        try:
            assert migration_line(opened, jobs, "images") == ("", False)
            migration_of(opened, "images").run(recipe_of("lite"), MigrationOptions())
            line, running = migration_line(opened, jobs, "images")
            assert line.startswith("A change of the model to lite has not been finished: 3 images")
            assert not running
            assert opened.collection("images").migrating_to == "lite"
            jobs.start_migration("images", MigrationRequest("lite", switch=True))
            line, running = migration_line(opened, jobs, "images")
            assert (line, running) == ("The model is being changed to lite: 0 of 0 images.", True)
            assert migration_line(opened, jobs, "other") == ("", False)
        finally:
            jobs.close()

"""dedup on the command line remembers which images are not duplicates."""

import json

from PIL import Image

from tests.pictures import write


def test_pair_that_is_kept_is_not_grouped(run, tmp_path):
    (file,) = write(tmp_path / "fotos", 1)
    image = Image.open(file).resize((200, 150))
    image.save(file)
    copy = tmp_path / "fotos/kopie.png"
    image.resize((190, 142)).save(copy)
    assert run("add", "fotos", "--model", "classic").exit_code == 0

    def groups():
        return json.loads(run("dedup", "--threshold", 0.9, "--json").stdout)["groups"]

    assert len(groups()) == 1
    done = run("dedup", "--keep", file, "fotos/kopie.png")
    assert "Pairs marked as different: 1 added, 0 removed, 1 in all" in done.stderr
    assert groups() == []
    done = run("dedup", "--forget", copy, file, "--json")
    assert json.loads(done.stdout) == {"kept": [], "forgotten": 1, "apart": 0}
    assert len(groups()) == 1
    done = run("dedup", "--keep", file, "weg.png")
    assert (done.exit_code, "no image in 'images' has the id or path 'weg.png'" in done.stderr) == (
        1,
        True,
    )

"""Images of a library are listed on the command line."""

import json


def paths(result):
    return [line.rpartition("/")[2] for line in result.stdout.splitlines()]


def test_images_are_listed_in_an_order(run, db):
    down = run("list", "--db", db, "--order-by", "-path", "-k", "2")
    assert paths(down) == ["bild-ü 0002.png", "bild-ü 0001.png"]
    cats = run("list", "--db", db, "--where", "label = cats", "--order-by", "path")
    assert paths(cats) == [f"bild-ü 000{number}.png" for number in range(3)]
    assert len(run("list", "--db", db, "-0").stdout.split("\0")) == 7
    assert run("list", "--db", db, "--where", "label = x").stdout == ""


def test_images_are_counted_and_shown_by_id(run, db):
    assert run("list", "--db", db, "--count").stdout == "6\n"
    counted = run("list", "--db", db, "--count", "--json", "--where", "label = cats")
    assert json.loads(counted.stdout) == {"count": 3}
    rows = json.loads(run("list", "--db", db, "--json", "-k", "1").stdout)
    (same,) = json.loads(run("list", "--db", db, "--json", rows[0]["id"]).stdout)
    assert same == rows[0]
    unknown = run("list", "--db", db, "nobody")
    assert (unknown.exit_code, "no image" in unknown.stderr) == (1, True)


def test_wrong_options_are_refused(run, db):
    for words in (
        ["--json", "-0"],
        ["nobody", "--count"],
        ["--where", "label ="],
        ["-k", "0"],
    ):
        assert run("list", "--db", db, *words).exit_code == 2, words
    assert run("list", "--db", db, "--order-by", "nothing").exit_code == 1
    assert run("list", "--db", "missing.db").exit_code == 1

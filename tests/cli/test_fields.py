"""Fields on the command line: listed, declared and counted."""

import json

from tests.pictures import write


def test_fields_are_declared_listed_and_counted(run, tmp_path):
    assert run("fields").exit_code == 1  # no library yet
    declared = run("fields", "year:int", "tags:list", "--model", "classic", "--json")
    types = {"label": "str", "path": "str", "year": "int", "tags": "str"}
    assert json.loads(declared.stdout) == {"fields": types}
    write(tmp_path / "fotos/größe", 2)
    write(tmp_path / "fotos/猫", 1, start=2)
    assert run("add", "fotos", "--json").exit_code == 0
    table = run("fields").stdout
    assert ("year" in table, "int" in table) == (True, True)
    counted = run("fields", "--values", "label", "--where", "year = 0", "--json").stdout
    assert json.loads(counted)["values"] == [
        {"value": "größe", "images": 2},
        {"value": "猫", "images": 1},
    ]
    assert "größe" in run("fields", "--values", "label", "--most", "1").stdout
    other = run("fields", "year:str")
    assert (other.exit_code, "keeps its type" in other.stderr) == (1, True)
    assert run("fields", "--where", "year = 0").exit_code == 2

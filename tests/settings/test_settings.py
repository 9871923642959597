"""Settings come from the environment, and `repr` hides secrets."""

import ast
import inspect
from dataclasses import fields
from pathlib import Path

import pytest

import imgsearch
from imgsearch.errors import ConfigError
from imgsearch.settings import VARIABLES, Settings, own_store, quiet_grpc
from tests.conftest import ENVIRONMENT


def test_defaults():
    settings = Settings.from_environment({})
    assert (settings.db, settings.data, settings.milvus_token, settings.timeout) == (
        None,
        None,
        None,
        60,
    )


def test_all_openers_have_the_same_default_timeout():
    from imgsearch.archive import opened, opened_keys
    from imgsearch.backends import StoreOptions
    from imgsearch.library.doctor import examine

    openers = (imgsearch.open, imgsearch.connect, StoreOptions, opened, opened_keys, examine)
    defaults = {inspect.signature(opener).parameters["timeout"].default for opener in openers}
    assert defaults == {Settings().timeout}


def test_own_store_is_in_the_folder_for_data(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    home = Path.home() / ".local/share/imgsearch/library.db"
    for variables, expected in (
        ({}, home),
        ({"XDG_DATA_HOME": "/data/käthe"}, Path("/data/käthe/imgsearch/library.db")),
        ({"XDG_DATA_HOME": "relative"}, home),
    ):
        assert own_store(variables) == expected
    monkeypatch.setattr("sys.platform", "darwin")
    assert "Application Support/imgsearch" in str(own_store({}))


def test_an_empty_variable_counts_as_unset():
    assert Settings.from_environment({"IMGSEARCH_DB": ""}).db is None


def test_repr_hides_the_token():
    settings = Settings.from_environment({"IMGSEARCH_MILVUS_TOKEN": "root:geheim"})
    assert settings.milvus_token == "root:geheim"  # noqa: S105 - the test's own
    assert "geheim" not in repr(settings)


def test_token_is_the_secret_of_that_store_only():
    settings = Settings.from_environment(
        {"IMGSEARCH_MILVUS_TOKEN": "root:geheim", "IMGSEARCH_TENCENT_KEY": "schlüssel"}
    )
    assert settings.token("tencent+grpc://host/db") == "schlüssel"
    assert settings.token("milvus://host/db") == "root:geheim"
    assert "schlüssel" not in repr(settings)


@pytest.mark.parametrize("text", ["0", "-1", "soon", "inf", "nan"])
def test_timeout_must_be_a_positive_number(text):
    with pytest.raises(ConfigError, match="IMGSEARCH_TIMEOUT"):
        Settings.from_environment({"IMGSEARCH_TIMEOUT": text})


def test_quiet_grpc_keeps_the_value_of_the_user(monkeypatch):
    monkeypatch.delenv("GRPC_VERBOSITY", raising=False)
    with quiet_grpc():
        assert ENVIRONMENT["GRPC_VERBOSITY"] == "NONE"
    assert "GRPC_VERBOSITY" not in ENVIRONMENT
    monkeypatch.setenv("GRPC_VERBOSITY", "DEBUG")
    with quiet_grpc():
        assert ENVIRONMENT["GRPC_VERBOSITY"] == "DEBUG"
    assert ENVIRONMENT["GRPC_VERBOSITY"] == "DEBUG"


@pytest.mark.parametrize(
    ("text", "offline"), [("1", True), ("True", True), ("on", True), ("0", False), ("off", False)]
)
def test_offline_is_a_switch(text, offline):
    assert Settings.from_environment({"IMGSEARCH_OFFLINE": text}).offline is offline


def test_offline_rejects_other_words():
    with pytest.raises(ConfigError, match="invalid IMGSEARCH_OFFLINE 'nein': set one of 1, "):
        Settings.from_environment({"IMGSEARCH_OFFLINE": "nein"})


NUMBERS = {"IMGSEARCH_TIMEOUT": "3", "IMGSEARCH_OFFLINE": "1"}


def test_every_variable_changes_one_setting():
    default = Settings.from_environment({})
    changed = []
    for variable in VARIABLES.keys() - {"IMGSEARCH_CONFIG", "IMGSEARCH_PROFILE"}:
        settings = Settings.from_environment({variable: NUMBERS.get(variable, "/größe")})
        changed += [
            field.name
            for field in fields(Settings)
            if getattr(settings, field.name) != getattr(default, field.name)
        ]
    assert sorted(changed) == sorted(field.name for field in fields(Settings))


def attributes_of_settings(path, names):
    """Yield the attributes that a module reads of settings, which it may call by `names`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Attribute):
            continue
        owner = node.value
        if isinstance(owner, ast.Call):
            owner = owner.func
        if (isinstance(owner, ast.Name) and owner.id in names) or (
            isinstance(owner, ast.Attribute) and owner.attr == "from_environment"
        ):
            yield node.attr


@pytest.mark.long
def test_every_setting_is_used():
    package = Path(imgsearch.__file__).parent
    used = {
        name
        for path in package.rglob("*.py")
        for name in attributes_of_settings(
            path, {"self"} if path == package / "settings" / "__init__.py" else {"settings"}
        )
    }
    assert {field.name for field in fields(Settings)} <= used

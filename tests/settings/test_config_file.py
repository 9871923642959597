"""The config file, its profiles, and the environment over both."""

from pathlib import Path

import pytest

from imgsearch.errors import ConfigError
from imgsearch.settings import Settings
from imgsearch.settings.config_file import default_path

FILE = """
timeout = 30
offline = true
profile = "laptop"

[profiles.laptop]
db = "laptop.db"

[profiles.cluster]
db = "milvus://größe:19530"
milvus_token = "ada:geheim"
timeout = 5.5
roots = ["/srv/a", "/srv/b"]
"""


@pytest.fixture
def read(tmp_path):
    """Return a function that reads settings from the text of a config file and variables."""

    def read(text=FILE, **variables):
        file = tmp_path / "einstellungen.toml"
        file.write_text(text, encoding="utf-8")
        return Settings.from_environment({"IMGSEARCH_CONFIG": str(file), **variables})

    return read


def test_file_chooses_a_profile_and_completes_it(read):
    settings = read()
    assert (settings.db, settings.timeout, settings.offline) == ("laptop.db", 30, True)
    assert settings.milvus_token is None


def test_variable_chooses_another_profile(read):
    settings = read(IMGSEARCH_PROFILE="cluster")
    assert (settings.db, settings.timeout) == ("milvus://größe:19530", 5.5)
    assert settings.roots == (Path("/srv/a"), Path("/srv/b"))
    assert settings.token(settings.db) == "ada:geheim"


def test_variables_override_the_file(read):
    settings = read(IMGSEARCH_DB="other.db", IMGSEARCH_OFFLINE="0", IMGSEARCH_TIMEOUT="")
    assert (settings.db, settings.timeout, settings.offline) == ("other.db", 30, False)


def test_file_needs_no_profiles(read):
    assert read('db = "one.db"').db == "one.db"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("timeot = 1", "unknown key 'timeot'; did you mean timeout"),
        ("[profiles.one]\ndata_base = 'x'", "unknown key 'data_base'"),
        ("config = 'x.toml'", "unknown key 'config'"),
        ("profile = 'two'\n[profiles.one]", "no profile 'two': it has one"),
        ("profile = ['one']", "no profile"),
        ("profiles = 1", "table"),
        ("profiles.one = 1", "table"),
        ("db = ", "is not TOML"),
        ("timeout = 'soon'", "IMGSEARCH_TIMEOUT 'soon'"),
        ("milvus_token = {geheim = 1}", "'milvus_token' must be a text"),
    ],
)
def test_faults_are_named(read, text, message):
    with pytest.raises(ConfigError, match=message) as error:
        read(text)
    assert "geheim" not in str(error.value)


def test_unknown_profile_and_missing_file_are_named(read, tmp_path):
    with pytest.raises(ConfigError, match="no profile 'clutser': .*did you mean cluster"):
        read(IMGSEARCH_PROFILE="clutser")
    with pytest.raises(ConfigError, match="there is no config file"):
        Settings.from_environment({"IMGSEARCH_PROFILE": "a", "XDG_CONFIG_HOME": str(tmp_path)})
    for missing in (str(tmp_path / "none.toml"), "~nobody-here/x", "a\0b"):
        with pytest.raises(ConfigError, match="config file"):
            Settings.from_environment({"IMGSEARCH_CONFIG": missing})


def test_bytes_that_are_not_text_are_refused(tmp_path):
    file = tmp_path / "x.toml"
    file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not TOML"):
        Settings.from_environment({"IMGSEARCH_CONFIG": str(file)})


def test_file_is_in_the_users_folder_and_never_in_the_current_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "imgsearch.toml").write_text('db = "strange.db"')
    home = tmp_path / "config"
    assert Settings.from_environment({"XDG_CONFIG_HOME": str(home)}).db is None
    file = home / "imgsearch" / "imgsearch.toml"
    file.parent.mkdir(parents=True)
    file.write_text('db = "own.db"')
    assert Settings.from_environment({"XDG_CONFIG_HOME": str(home)}).db == "own.db"


def test_default_path_is_the_systems(monkeypatch):
    monkeypatch.setattr("sys.platform", "linux")
    assert default_path({"XDG_CONFIG_HOME": "relative"}) == Path(
        "~/.config/imgsearch/imgsearch.toml"
    )
    monkeypatch.setattr("sys.platform", "win32")
    assert default_path({"APPDATA": "C:/x"}) == Path("C:/x/imgsearch/imgsearch.toml")
    monkeypatch.setattr("sys.platform", "darwin")
    assert "Application Support" in str(default_path({}))

"""The doctor reports problems, changes nothing and shows no secrets."""

import json
import socket

from click.testing import CliRunner

from imgsearch.backends import connect
from imgsearch.cli import cli
from imgsearch.library.doctor import Store, examine
from imgsearch.settings import Settings


def run(*words, **environment):
    return CliRunner().invoke(cli, ["doctor", *map(str, words)], env=environment)


def by_name(done):
    return {finding["what"]: finding for finding in json.loads(done.stdout)}


def test_packages_and_operators_are_listed_with_their_versions():
    findings = by_name(run("memory://x", "--json"))
    assert findings["towhee"]["fact"] == "1.1.3"
    assert findings["operators"]["state"] == "ok"
    assert findings["encoder lite"]["fact"] == "runs, 384 dimensions"
    assert findings["store memory://x"]["state"] == "ok"


def test_missing_store_is_not_created(tmp_path):
    done = run(tmp_path / "x.db", "--json")
    assert done.exit_code == 0, done.output
    assert by_name(done)[f"store {tmp_path / 'x.db'}"]["state"] == "absent"
    assert list(tmp_path.iterdir()) == []


def test_store_lists_its_collections(tmp_path):
    from imgsearch.backends import Schema

    with connect(str(tmp_path / "x.db")) as store:
        store.create("bilder", Schema(4))
    assert "bilder" in run(tmp_path / "x.db").stdout


def test_large_embedded_store_is_no_failure(tmp_path, monkeypatch):
    from imgsearch.backends import Schema
    from imgsearch.library import growth

    monkeypatch.setattr(growth, "MANY", 0)
    with connect(str(tmp_path / "x.db")) as store:
        store.create("bilder", Schema(4))
    done = run(tmp_path / "x.db", "--json")
    assert done.exit_code == 0
    assert json.loads(done.stdout)
    assert "a search takes" not in done.stdout
    assert f"imgsearch copy {tmp_path}/x.db milvus://HOST:19530 --collection bilder" in done.stderr


def test_damaged_collections_are_named(tmp_path):
    from imgsearch.backends import Schema

    with connect(str(tmp_path / "x.db")) as store:
        store.create("bilder", Schema(4))
    (tmp_path / "x.db/collections/images").mkdir()
    done = run(tmp_path / "x.db", "--json")
    assert done.exit_code == 1
    assert by_name(done)[f"store {tmp_path / 'x.db'}"]["state"] == "ok"
    finding = by_name(done)["collection images"]
    assert finding["state"] == "wrong"
    assert "schema.json is missing, and it is empty" in finding["fact"]
    assert "restore its folder" in finding["advice"]
    assert (tmp_path / "x.db/collections/images").exists()


def test_advice_says_that_a_dead_server_and_wrong_credentials_cause_the_same_error():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))  # bound but not listening, so connections fail
        url = f"milvus://127.0.0.1:{listening.getsockname()[1]}"
        secret = {"IMGSEARCH_MILVUS_TOKEN": "root:geheim", "IMGSEARCH_TIMEOUT": "1"}
        done = run(url, "--json", **secret)
    assert done.exit_code == 1
    finding = by_name(done)[f"store {url}"]
    assert finding["state"] == "wrong"
    assert "cause the same error" in finding["advice"]
    assert "IMGSEARCH_MILVUS_TOKEN" in finding["advice"]
    assert "geheim" not in done.output


def test_invalid_url_is_reported():
    done = run("tencentt://x", "--json")
    assert done.exit_code == 1
    assert "unknown store" in by_name(done)["store tencentt://x"]["fact"]


def test_no_secret_is_shown():
    assert "geheim" not in repr(Store("milvus://x", "root:geheim", "IMGSEARCH_MILVUS_TOKEN"))


def test_every_store_gets_only_its_own_secret():
    settings = Settings(milvus_token="m", tencent_key="t")
    assert settings.token("milvus://h") == "m"
    assert settings.token("tencent+grpc://h/d") == "t"
    assert settings.token("photos.db") is None
    assert [f.state for f in examine([]) if f.what == "python"] == ["ok"]


def test_wrong_settings_are_a_finding_beside_the_packages(tmp_path):
    done = run("--json", IMGSEARCH_CONFIG=str(tmp_path / "fehlt.toml"))
    assert done.exit_code == 1
    findings = by_name(done)
    assert "fehlt.toml" in findings["settings"]["fact"]
    assert findings["operators"]["state"] == "ok"


def test_config_file_and_profile_are_named(tmp_path):
    file = tmp_path / "größe.toml"
    file.write_text('[profiles.cluster]\ns3_secret = "geheim"\n', encoding="utf-8")
    environment = {"IMGSEARCH_CONFIG": str(file), "IMGSEARCH_PROFILE": "cluster"}
    done = run("memory://x", "--json", "--data", tmp_path / "a", **environment)
    assert done.exit_code == 0, done.output
    assert by_name(done)["config file"]["fact"] == f"{file}, profile cluster"
    assert "geheim" not in done.output


def test_archive_of_a_service_is_examined(tmp_path):
    from imgsearch.archive import opened

    data = tmp_path / "archiv"
    findings = by_name(run("memory://x", "--json", "--data", data))
    assert findings[f"archive {data}"]["state"] == "absent"
    assert not data.exists()
    with opened(data):
        pass
    done = run("memory://x", "--json", "--data", data)
    findings = by_name(done)
    assert findings[f"catalog {data / 'catalog.db'}"]["fact"] == "0 images, 0 API keys"
    assert findings[f"originals {data / 'originals'}"]["state"] == "ok"
    assert f"store {data / 'vectors.db'}" in findings
    (data / "catalog.db").write_bytes(b"kein Katalog" * 100)
    done = run("memory://x", "--json", "--data", data)
    assert done.exit_code == 1
    assert by_name(done)[f"catalog {data / 'catalog.db'}"]["state"] == "wrong"

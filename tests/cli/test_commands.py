"""The commands and their output at a terminal."""

import csv
import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from imgsearch.cli import cli, options
from imgsearch.cli.demo import _program as demo_program
from tests.pictures import write
from tests.services.web_server import WebServer


@pytest.fixture
def loaded(run, tmp_path):
    write(tmp_path / "bilder" / "猫", 4)
    write(tmp_path / "bilder" / "hund", 4, start=4)
    assert run("add", "bilder", "--model", "classic", "--json").exit_code == 0
    return tmp_path / "bilder"


def test_add_reports_added_and_failed_images(run, tmp_path):
    write(tmp_path / "bilder", 3)
    (tmp_path / "bilder/kaputt.jpg").write_bytes(b"\xff\xd8\xff\xe0 broken")
    done = run("add", "bilder", "--report", "report.jsonl")
    assert done.exit_code == 0, done.output
    assert re.search(r"Added 3 images in \d+\.\d s; 1 failed \(listed below\)\n", done.stderr)
    (line,) = (tmp_path / "report.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(line)["path"].endswith("kaputt.jpg")
    assert done.stdout == ""
    facts = json.loads(run("info", "--json").stdout)
    assert (facts["count"], facts["encoder"]["model"]) == (3, "lite")


def test_add_reads_standard_input(run, tmp_path):
    files = write(tmp_path / "bilder", 4)
    for number, words, text in (
        (1, ["-"], "bilder/bild-ü 0000.png\n"),
        (2, ["-0", "-"], "bilder/bild-ü 0000.png\0bilder/bild-ü 0001.png\0"),
        (2, ["-"], "Ort;label\nx;y\n"),
        (3, ["-", "--path-column", "ort"], "Ort;label\nbilder/bild-ü 0002.png;Käfer\n"),
        (4, ["-"], f"{files[0]}\nbilder/*3.png\n"),
    ):
        done = run("add", *words, "--model", "classic", "--json", input=text)
        assert json.loads(done.stdout)["count"] == number, done.output
    hits = json.loads(run("search", files[2], "--json", "-k", 1).stdout)
    assert hits[0]["fields"]["label"] == "Käfer"
    assert run("add", "-0", "bilder").exit_code == 2
    assert run("add", "-", "-").exit_code == 2


def test_json_option_prints_only_json(run, loaded):
    done = run("add", "bilder", "--json")
    assert json.loads(done.stdout)["skipped"] == 8
    assert done.stderr == ""


def test_search_prints_a_table_nearest_first(run, loaded):
    done = run("search", loaded / "猫/bild-ü 0002.png", "-k", 2)
    assert done.exit_code == 0, done.output
    header, first, *_ = done.stdout.splitlines()
    assert header.split() == ["rank", "score", "label", "path"]
    assert first.split()[:3] == ["1", "1.0000", "猫"]


def test_search_by_json_filter_and_min_score(run, loaded):
    query = loaded / "猫/bild-ü 0002.png"
    done = run("search", query, "--json", "--where", "label!=猫", "-k", 10)
    hits = json.loads(done.stdout)
    assert [hit["fields"]["label"] for hit in hits] == ["hund"] * 4
    only = json.loads(run("search", query, "--json", "--min-score", 0.9999).stdout)
    assert [Path(hit["fields"]["path"]).name for hit in only] == [query.name]


def test_search_continues_page_by_page(run, loaded):
    query = loaded / "猫/bild-ü 0002.png"
    all_ids = [hit["id"] for hit in json.loads(run("search", query, "--json", "-k", 8).stdout)]
    page = json.loads(run("search", query, "--json", "-k", 3, "--offset", 3).stdout)
    assert [hit["id"] for hit in page] == all_ids[3:6]
    assert run("search", query, "-k", 3, "--offset", 3).stdout.splitlines()[1].split()[0] == "4"


def test_search_writes_a_self_contained_page(run, loaded, tmp_path):
    done = run("search", loaded / "猫/bild-ü 0002.png", "--html", "seite.html")
    assert done.exit_code == 0, done.output
    page = (tmp_path / "seite.html").read_text(encoding="utf-8")
    assert page.count("data:image/jpeg;base64,") == 9
    assert "http" not in page.replace("http-equiv", "")


def test_info_shows_collection_and_encoder(run, loaded):
    facts = json.loads(run("info", "--json").stdout)
    assert (facts["count"], facts["encoder"]["model"]) == (8, "classic")
    assert "hnsw" in run("info").stdout


def test_remove_by_path_keeps_the_file(run, loaded):
    file = loaded / "hund/bild-ü 0005.png"
    assert json.loads(run("remove", file, "--json").stdout) == {"removed": 1}
    assert json.loads(run("info", "--json").stdout)["count"] == 7
    assert file.exists()


@pytest.mark.torch  # timm lists its models
def test_models_lists_the_encoders(run):
    names = [model["name"] for model in json.loads(run("models", "--json").stdout)]
    assert names[:3] == ["lite", "lite2", "classic"]
    listed = run("models").stdout
    assert listed.startswith("model")
    assert "tf_efficientnet_b7" in listed
    models = {model["name"]: model for model in json.loads(run("models", "--json").stdout)}
    assert models["resnet50-gem512"]["dim"] == 512
    assert models["classic"]["on_disk"] is None
    assert "clip_vit_base_patch32" in json.loads(run("models", "clip_*", "--json").stdout)
    one = run("models", "vgg16-4096").stdout
    assert "second dense layer" in one
    assert "BSD-3-Clause" in one
    assert "no model matches 'größe*'" in run("models", "größe*").stderr


def test_max_pixels_is_an_option_of_add_search_and_evaluate(run, tmp_path):
    write(tmp_path / "bilder" / "a", 2)
    large = tmp_path / "bilder" / "a" / "groß.png"
    Image.new("L", (1_001, 1_000)).save(large)
    refused = run("add", "bilder", "--model", "classic", "--max-pixels", 1).stderr
    assert "1 failed" in refused
    assert "--max-pixels MILLIONS raises the limit on pixels" in refused
    assert "Added 1 image in" in run("add", "bilder", "--max-pixels", 2).stderr
    refused = run("search", large, "--max-pixels", 1)
    assert refused.exit_code == 1
    assert "1,001 x 1,000 pixels, at most 1,000,000 are" in refused.stderr
    page = tmp_path / "seite.html"
    assert run("search", large, "--max-pixels", 2, "--html", page).exit_code == 0
    assert "cannot be read" not in page.read_text(encoding="utf-8")
    for millions, queries in ((1, 2), (2, 3)):
        words = ("evaluate", "bilder", "--model", "classic", "--json", "--no-speed")
        words += ("--max-pixels", millions)
        assert json.loads(run(*words).stdout)["scored"] == queries
    assert run("search", large, "--max-pixels", 0).exit_code == 2


def test_evaluate_prints_the_measures_by_their_names(run, loaded):
    measured = json.loads(run("evaluate", "bilder", "--model", "classic", "--json").stdout)
    names = {"hit@1", "hit@10", "precision@10", "recall@10", "map@10", "ap_hits@10"}
    assert names <= measured["metrics"].keys()
    assert (measured["scored"], measured["dataset"]["held_out"]) == (8, False)
    assert "precision@10" in run("evaluate", "bilder", "--model", "classic").stdout


def test_evaluate_through_a_store_gives_the_figures_of_exact_search(run, loaded):
    words = ("evaluate", "bilder", "--model", "classic", "--json")
    exact = json.loads(run(*words).stdout)["metrics"]
    stored = json.loads(run(*words, "--db", "x.db").stdout)["metrics"]
    assert stored == pytest.approx(exact, abs=1e-6)


@pytest.mark.long
def test_evaluate_compares_models(run, loaded, tmp_path, map_by_pca):
    words = ("evaluate", "bilder", "--model", "lite", "--model", "classic", "--no-speed")
    done = run(*words, "--html", "seite.html", "--markdown", "tabelle.md")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[0].split() == ["measure", "lite", "classic"]
    assert "95 % interval" in done.stdout
    assert "Quality" not in (tmp_path / "seite.html").read_text(encoding="utf-8")  # without timings
    assert "## Against lite" in (tmp_path / "tabelle.md").read_text(encoding="utf-8")
    result = json.loads(run(*words, "--json").stdout)
    assert result["runs"].keys() == {"lite", "classic"}
    assert result["runs"]["lite"]["speed"] is None


def test_evaluate_names_the_model_of_an_option(run, loaded):
    done = run("evaluate", "bilder", "--model", "lite", "--model", "classic", "--option", "a=1")
    assert done.exit_code == 2
    assert "does not name its model. Begin it with one of lite:, classic:" in done.stderr
    done = run("evaluate", "bilder", "--model", "classic", "--option", "classic:größe=1")
    assert "classic takes neither weights nor options" in done.stderr


def test_evaluate_fails_below_the_required_figure(run, loaded):
    words = ("evaluate", "bilder", "--model", "classic", "--no-speed", "--fail-under")
    assert run(*words, "hit@1=0").exit_code == 0
    done = run(*words, "hit@1=1.01")
    assert done.exit_code == 3
    assert "hit@1 is" in done.stderr
    assert "wanted at least 1.01" in done.stderr
    assert "unknown measure 'hit@2'" in run(*words, "hit@2=0.5").stderr
    assert "is not MEASURE=NUMBER" in run(*words, "hit@1=viel").stderr


def test_evaluate_measures_an_existing_library(run, loaded, map_by_pca):
    words = ("evaluate", "bilder", "--model", "classic", "--json")
    exact = json.loads(run(*words).stdout)["metrics"]
    done = run("evaluate", "--json", "--html", "seite.html")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["metrics"] == pytest.approx(exact)
    assert "--index, --metric, --variants" in run("evaluate", "--index", "flat").stderr
    assert "vectors of 'classic', not of 'lite'" in run("evaluate", "--model", "lite").stderr
    assert "name one" in run("evaluate", "--weights", "x").stderr
    assert "no field 'klasse'" in run("evaluate", "--label-column", "klasse").stderr


def test_evaluate_measures_variants_of_a_models_vectors(run, loaded):
    done = run("evaluate", "bilder", "--model", "classic", "--variants", "--json")
    assert list(json.loads(done.stdout)["runs"])[:2] == ["raw", "normalised"]
    assert "takes one --model" in run("evaluate", "bilder", "--variants", "--db", "x.db").stderr


def test_evaluate_reports_timings(run, loaded):
    speed = json.loads(run("evaluate", "bilder", "--json").stdout)["speed"]
    assert speed["embedding"]["n"] == speed["search"]["n"] == 8
    assert 0 < speed["search"]["p50"] <= speed["search"]["p95"] <= speed["search"]["p99"]
    assert min(speed["images_a_second"], speed["searches_a_second"]) > 0


def test_evaluate_accepts_a_csv(run, loaded, tmp_path):
    with (tmp_path / "liste.csv").open("w", encoding="utf-8-sig", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "path", "label"])
        for place, image in enumerate(sorted(loaded.rglob("*.png"))):
            rows.writerow([place, f"./{image.relative_to(tmp_path)}", image.parent.name])
    exact, measured = (
        json.loads(run("evaluate", dataset, "--model", "classic", "--json").stdout)["metrics"]
        for dataset in ("bilder", "liste.csv")
    )
    assert measured == exact


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["info"], "add some images first"),
        (["add", "nirgends"], "nirgends"),
        (["info", "--db", "tencentt://x"], "unknown store"),
        (["info", "--db", "photos"], "is invalid. Use PATH.db"),
        pytest.param(["add", ".", "--model", "timmm:x"], "timmm:x", marks=pytest.mark.torch),
        (["add", ".", "--index", "tree"], "unknown index"),
        (["add", ".", "--weights", "x.safetensors"], "name the model"),
    ],
)
def test_error_is_one_line_with_exit_status_1(run, words, message, tmp_path):
    write(tmp_path, 1)
    done = run(*words)
    assert done.exit_code == 1, done.output
    error = done.stderr.splitlines()[-1]
    assert error.startswith("Error: ")
    assert message in error
    assert "Traceback" not in done.output


@pytest.mark.parametrize(
    "words", [["search"], ["add"], ["frobnicate"], ["add", "x", "--option", "y"]]
)
def test_usage_error_has_exit_status_2(run, words):
    assert run(*words).exit_code == 2


def test_every_command_and_option_has_help(run):
    for name in cli.list_commands(None):
        command = cli.get_command(None, name)
        assert command.help, name
        assert run(name, "--help").exit_code == 0


def test_file_name_cannot_send_control_codes(run, tmp_path):
    write(tmp_path / "bilder\x1b[31m", 1)
    done = run("add", "bilder\x1b[31m", "--model", "classic", "--json")
    assert done.exit_code == 0, done.output
    output = run("search", next((tmp_path / "bilder\x1b[31m").iterdir())).stdout
    assert "\x1b" not in output


@pytest.mark.long
def test_demo_indexes_searches_and_writes_a_page(run, tmp_path, map_by_pca):
    words = ("demo", "--json")
    done = run(*words)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["dataset"]["queries"] >= 20
    assert result["metrics"]["precision@10"] > 0.2
    assert (tmp_path / "demo/index.html").read_text(encoding="utf-8").count("data:image/jpeg") > 50
    again = json.loads(run(*words).stdout)
    assert again["metrics"] == result["metrics"]


def test_demo_shows_photos_of_a_folder(run, tmp_path):
    photos = tmp_path / "Bilder & so"
    write(photos / "a", 4)
    (photos / "kaputt.jpg").write_bytes(b"\xff\xd8\xff no image")
    done = run("demo", photos, "--model", "classic", "--most", 4, "--json")
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert result["images"] + result["failed"] == 4
    assert all(
        hit not in search["query"] for search in result["searches"] for hit in search["hits"]
    )
    page = (tmp_path / "demo/index.html").read_text(encoding="utf-8")
    assert f"Photos of {html.escape(str(photos))}: the first 4 images" in page
    again = run("demo", photos, "--model", "classic", "--most", 4)
    assert "Searched 3 images by classic (722-d); 1 file failed." in again.stderr


def test_commands_of_the_demo_start_the_installed_program(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = write_program(tmp_path / ".venv/bin", "imgsearch")
    monkeypatch.setattr(sys, "executable", str(script.with_name("python")))
    monkeypatch.setenv("PATH", str(script.parent))
    assert demo_program() == "imgsearch"
    monkeypatch.setenv("PATH", "/nowhere")
    assert demo_program() == ".venv/bin/imgsearch"
    script.unlink()
    assert demo_program() == f"{tmp_path}/.venv/bin/python -m imgsearch"


def write_program(folder, name):
    folder.mkdir(parents=True)
    (folder / name).write_text("#!/bin/sh\n")
    (folder / name).chmod(0o755)
    return folder / name


def test_demo_of_a_folder_without_images_is_an_error(run, tmp_path):
    (tmp_path / "leer").mkdir()
    done = run("demo", tmp_path / "leer")
    assert done.exit_code == 1
    assert "no images in" in done.stderr


def test_demo_uses_the_gallery_of_the_environment(run, loaded, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DATA", str(loaded))
    result = json.loads(run("demo", "--json").stdout)
    assert (result["dataset"]["name"], result["encoder"]["model"]) == ("bilder", "lite")


def test_environment_names_the_store(run, loaded, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_DB", "anders.db")
    assert "add some images first" in run("info").stderr


def test_python_m_imgsearch_is_the_command_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "--help"], capture_output=True, text=True, cwd=tmp_path
    )
    assert "evaluate" in done.stdout


@pytest.mark.parametrize("words", [["info"], ["search", "bild.png"], ["remove", "x"]])
def test_reading_commands_create_no_store(run, tmp_path, words):
    (write(tmp_path, 1)[0]).rename(tmp_path / "bild.png")
    done = run(*words, "--db", "vertippt.db")
    assert done.exit_code == 1
    assert "no library at" in done.stderr
    assert not (tmp_path / "vertippt.db").exists()


def test_add_without_any_success_has_exit_status_1(run, tmp_path):
    (tmp_path / "kaputt.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    assert run("add", "kaputt.png").exit_code == 1


def test_old_report_survives_an_error_before_the_load(run, tmp_path):
    (tmp_path / "alt.jsonl").write_text("alt")
    assert run("add", ".", "--db", "keine-url", "--report", "alt.jsonl").exit_code == 1
    assert (tmp_path / "alt.jsonl").read_text() == "alt"


@pytest.mark.long
def test_standard_error_shows_only_the_error(run, loaded, tmp_path):
    """Towhee's nodes log when they are freed after their pool was emptied."""
    (tmp_path / "kein.jpg").write_text("no image")
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "search", "kein.jpg"],
        capture_output=True, text=True, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_ascii_terminal_replaces_other_characters(run, loaded, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "imgsearch", "search", loaded / "猫/bild-ü 0002.png"],
        capture_output=True, text=True, cwd=tmp_path,
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},  # noqa: TID251
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "1.0000" in done.stdout


def test_option_value_is_parsed_as_number_boolean_list_or_text():
    words = ("mean=0.5,0.4,3", "size=224", "same=True", "reduction=/fotos, alt/p.safetensors")
    words += ("model=a=b", "odd=1,true")
    assert options.parse_options(words) == {
        "mean": [0.5, 0.4, 3],
        "size": 224,
        "same": True,
        "reduction": "/fotos, alt/p.safetensors",  # one path, with a comma in it
        "model": "a=b",
        "odd": "1,true",
    }
    assert options.parse_options(()) is None


def test_search_takes_a_url(run, loaded, tmp_path):
    image = (loaded / "猫/bild-ü 0002.png").read_bytes()
    with WebServer(image) as site:
        hits = run("search", f"{site.url}/ä.png", "--url-host", "127.0.0.1", "-k", "1", "-f")
        assert hits.stdout.strip().endswith("bild-ü 0002.png")
        page = run("search", site.url, "--url-host", "127.0.0.1", "--html", "seite.html")
        assert page.exit_code == 0
        assert site.url in (tmp_path / "seite.html").read_text(encoding="utf-8")
        refused = run("search", site.url)
        assert (refused.exit_code, "no public address" in refused.stderr) == (1, True)


def test_environment_names_the_encoder_of_new_collections(run, loaded, monkeypatch):
    monkeypatch.setenv("IMGSEARCH_MODEL", "lite")
    assert run("add", "bilder", "--json").exit_code == 0  # of the encoder classic
    assert json.loads(run("info", "--json").stdout)["encoder"]["model"] == "classic"
    monkeypatch.setenv("IMGSEARCH_MODEL", "classic")
    assert run("add", "bilder", "--collection", "neu", "--json").exit_code == 0
    facts = json.loads(run("info", "--collection", "neu", "--json").stdout)
    assert facts["encoder"]["model"] == "classic"
    done = run("add", "bilder", "--collection", "dritte", "--model", "lite", "--json")
    assert done.exit_code == 0, done.output
    monkeypatch.setenv("IMGSEARCH_MODEL", "kein-modell")
    assert run("add", "bilder", "--collection", "vierte").exit_code == 1
    done = run("add", "bilder", "--json")
    assert done.exit_code == 0, done.output

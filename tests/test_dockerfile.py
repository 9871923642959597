"""The image is pinned, unprivileged, and built from the checkout."""

import re
import shutil
import subprocess
import sys
import threading
import tomllib
from fnmatch import fnmatchcase
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path, PurePosixPath

import pytest
import yaml
from dockerfile_parse import DockerfileParser
from packaging.requirements import Requirement

import imgsearch
from imgsearch.cli import cli

ROOT = Path(__file__).resolve().parents[1]
SERVICE = yaml.safe_load((ROOT / "compose.yaml").read_text(encoding="utf-8"))["services"]["service"]
ANY = "0.0.0.0"  # noqa: S104 - inside a container; compose.yaml publishes on loopback


@pytest.fixture(scope="module")
def dockerfile(tmp_path_factory):
    folder = tmp_path_factory.mktemp("image")  # the parser opens files for writing
    shutil.copy(ROOT / "Dockerfile", folder)
    return DockerfileParser(str(folder))


def steps(dockerfile, name):
    return [step["value"] for step in dockerfile.structure if step["instruction"] == name]


def defaults(dockerfile):
    """Return the default of each build argument."""
    return dict(step.split("=", 1) for step in steps(dockerfile, "ARG"))


def copied(dockerfile):
    """Return the paths copied from the checkout, without their destination."""
    lines = [line for line in steps(dockerfile, "COPY") if not line.startswith("--from=build ")]
    for name, default in defaults(dockerfile).items():
        lines = [line.replace(f"${{{name}}}", default) for line in lines]
    return [PurePosixPath(word) for line in lines for word in line.split()[:-1]]


def ignored(path):
    """Return whether .dockerignore excludes a path: the last matching rule decides."""
    verdict = False
    for line in (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines():
        rule = line.removeprefix("!")
        if line.startswith("#") or not line:
            continue
        for parent in (path, *path.parents[:-1]):
            deep = rule.startswith("**/") and fnmatchcase(parent.name, rule[3:])
            level = len(parent.parts) == rule.count("/") + 1
            if deep or (level and fnmatchcase(str(parent), rule)):
                verdict = not line.startswith("!")
    return verdict


def test_both_stages_share_one_pinned_base(dockerfile):
    assert dockerfile.parent_images == ["python:3.11.15-slim-bookworm"] * 2
    assert dockerfile.is_multistage
    requires = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert requires["project"]["requires-python"] == ">=3.11"


def test_container_runs_as_an_unprivileged_numeric_user(dockerfile):
    *before, user = (step["instruction"] for step in dockerfile.structure[:])
    assert steps(dockerfile, "USER") == ["10001:10001"]
    assert user == "CMD"
    assert "RUN" not in before[before.index("USER") :]


def test_build_downloads_only_with_pip(dockerfile):
    assert not steps(dockerfile, "ADD")
    runs = " ".join(steps(dockerfile, "RUN"))
    assert not re.search(r"curl|wget|apt-get|\| *(ba)?sh|https?:", runs)
    assert not steps(dockerfile, "ONBUILD")


def test_copied_paths_exist_and_are_not_ignored(dockerfile):
    sources = copied(dockerfile)
    assert sources
    for path in sources:
        assert (ROOT / path).exists(), path
        assert not ignored(path), path
    for path in (".env", ".git/config", "tests/conftest.py", "data/demo.png", ".venv/bin/python",
                 "imgsearch/__pycache__/types.cpython-311.pyc"):  # fmt: skip
        assert ignored(PurePosixPath(path)), path


def test_copied_files_build_a_wheel(dockerfile, tmp_path):
    caches = shutil.ignore_patterns("__pycache__")
    for path in copied(dockerfile):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / path).is_dir():
            shutil.copytree(ROOT / path, tmp_path / path, ignore=caches)
        else:
            shutil.copy(ROOT / path, tmp_path / path)
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert list(tmp_path.glob("dist/*.whl"))


def test_installed_extras_exist(dockerfile):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    runs = " ".join(steps(dockerfile, "RUN"))
    assert '--constraint /constraints.txt ".[${EXTRAS}]"' in runs
    extras = defaults(dockerfile)["EXTRAS"]
    assert SERVICE["build"]["args"]["EXTRAS"] == f"${{IMGSEARCH_EXTRAS:-{extras}}}"
    assert set(extras.split(",")) == {"service", "mysql", "s3", "ui"}
    assert set(extras.split(",")) <= set(project["optional-dependencies"])


def test_constraints_file_is_valid_and_may_have_another_name(dockerfile, tmp_path):
    file = ROOT / defaults(dockerfile)["CONSTRAINTS"]
    lines = file.read_text(encoding="utf-8").splitlines()
    for line in lines:
        assert line.startswith("#") or Requirement(line).specifier, line
    assert not ignored(PurePosixPath("constraints-2026.txt"))
    (lister,) = re.findall(r"-c '(.*)'", "\n".join(lines))
    done = subprocess.run([sys.executable, "-c", lister], capture_output=True, text=True)
    assert re.search(r"^numpy==\d", done.stdout, re.MULTILINE), done.stderr


def test_labels_have_version_and_license(dockerfile):
    assert steps(dockerfile, "ARG")[-1] == f"VERSION={imgsearch.__version__}"
    name = "org.opencontainers.image"
    assert dockerfile.labels[f"{name}.licenses"] == "Apache-2.0"
    assert dockerfile.labels[f"{name}.version"] == imgsearch.__version__


def test_container_serves_all_its_addresses_from_its_data_folder(dockerfile):
    assert yaml.safe_load(dockerfile.cmd) == [
        "serve", "--host", ANY, "--port", "8000", "--data", "/data",
    ]  # fmt: skip
    assert yaml.safe_load(steps(dockerfile, "ENTRYPOINT")[0]) == ["imgsearch"]
    assert "--mode 0750 /data" in " ".join(steps(dockerfile, "RUN"))
    assert SERVICE["volumes"] == ["service:/data"]
    assert SERVICE["read_only"] is True


def test_command_of_the_image_is_valid(dockerfile):
    name, *words = yaml.safe_load(dockerfile.cmd)
    params = cli.get_command(None, name).make_context(name, words).params
    assert (params["host"], params["port"], params["data"]) == (ANY, 8000, Path("/data"))
    assert params["no_auth"] is False


class Live(BaseHTTPRequestHandler):
    """A service that only answers the health check."""

    status = 200

    def do_GET(self):
        self.send_response(self.status if self.path == "/v1/live" else 404)
        self.end_headers()

    def log_message(self, *words):
        """Print nothing."""


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (None, False)])
def test_health_check_ignores_proxies(dockerfile, status, healthy):
    (step,) = steps(dockerfile, "HEALTHCHECK")
    _, words = step.split(" CMD ", 1)
    command = yaml.safe_load(words)
    assert SERVICE["healthcheck"]["test"] == ["CMD", *command]
    with HTTPServer(("127.0.0.1", 0), type("Live", (Live,), {"status": status})) as server:
        assert "8000" in command[2]
        text = command[2].replace("8000", str(server.server_port))
        if status is None:  # no server
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, daemon=True).start()
        done = subprocess.run(
            [sys.executable, "-c", text],
            env={"http_proxy": "http://127.0.0.1:1"},
            capture_output=True,
        )
        if status is not None:
            server.shutdown()
    assert (done.returncode == 0) is healthy, done.stderr

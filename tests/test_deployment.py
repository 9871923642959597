"""The compose file is valid, closed by default, and consistent with the package.

No container engine runs here. The schema is the Compose specification's own, as check-jsonschema
carries it; `tests/service` runs the same stores without containers.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

import imgsearch
from imgsearch.settings import VARIABLES, Settings

ROOT = Path(__file__).resolve().parents[1]
COMPOSE = (ROOT / "compose.yaml").read_text(encoding="utf-8")
FILE = yaml.safe_load(COMPOSE)
SERVICES = FILE["services"]
EXAMPLE = dict(re.findall(r"^(\w+)=(.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE))
SECRETS = {name: f"geheim{place}" for place, name in enumerate(sorted(EXAMPLE))}


def interpolated(text, variables):
    """Replace `${NAME:-default}` and `${NAME:?word}`, the two forms that the file uses.

    Source: https://github.com/compose-spec/compose-spec/blob/main/12-interpolation.md
    """

    def value(match):
        name, form, rest = match.groups()
        if variables.get(name):
            return variables[name]
        if form == ":-":
            return rest
        raise LookupError(f"{name}: {rest}")

    replaced = re.sub(r"\$\{(\w+)(:-|:\?)([^}]*)\}", value, text)
    assert "$" not in replaced
    return replaced


@pytest.fixture(scope="module")
def running():
    return yaml.safe_load(interpolated(COMPOSE, SECRETS))


def validated(path):
    return subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True,
        text=True,
    )


def test_compose_file_is_valid(tmp_path):
    done = validated(ROOT / "compose.yaml")
    assert done.returncode == 0, done.stdout
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.replace("stop_grace_period", "stop_grace"), encoding="utf-8")
    assert validated(wrong).returncode == 1


@pytest.mark.parametrize("name", sorted(EXAMPLE))
@pytest.mark.parametrize("empty", ["", None])
def test_missing_secret_is_named(name, empty):
    rest = {**SECRETS, name: empty}
    with pytest.raises(LookupError, match=rf"^'?{name}: set {name} in \.env"):
        interpolated(COMPOSE, rest)


def test_example_has_every_secret_and_no_value():
    required = set(re.findall(r"\$\{(\w+):\?", COMPOSE))
    assert set(EXAMPLE) == required
    assert len(required) == 7
    assert not any(EXAMPLE.values())
    optional = set(re.findall(r"\$\{(\w+):-", COMPOSE))
    assert optional == {"IMGSEARCH_PUBLISH", "IMGSEARCH_EXTRAS", "IMGSEARCH_CONSTRAINTS"}
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    for name, default in re.findall(r"\$\{(\w+):-([^}]*)\}", COMPOSE):
        assert f"\n#{name}={default}\n" in example


def test_compose_file_contains_no_secret():
    for name, service in SERVICES.items():
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY|TOKEN", variable):
                assert re.fullmatch(r"(root:)?\$\{\w+:\?[^}]+\}", value), (name, variable)
    stored = FILE["configs"]["buckets"]["content"]
    assert re.findall(r'"(?:access|secret)Key": "(.)', stored) == ["$"] * 4


def test_secrets_reach_containers_only_by_environment_or_file(running):
    for name, service in running["services"].items():
        rest = {key: value for key, value in service.items() if key != "environment"}
        assert not re.search("geheim", str(rest)), name


def test_only_service_and_attu_are_published_on_loopback(running):
    published = {name: one["ports"] for name, one in running["services"].items() if "ports" in one}
    assert published == {"service": ["127.0.0.1:8000:8000"], "attu": ["127.0.0.1:3000:3000"]}
    wide = interpolated(COMPOSE, {**SECRETS, "IMGSEARCH_PUBLISH": "192.0.2.7:80"})
    assert yaml.safe_load(wide)["services"]["service"]["ports"] == ["192.0.2.7:80:8000"]


def test_stores_are_on_internal_networks():
    inner = {name for name, network in FILE["networks"].items() if (network or {}).get("internal")}
    assert set(FILE["networks"]) - inner == {"front"}
    near = {name for name, one in SERVICES.items() if "front" in one["networks"]}
    assert near == {"service", "attu"}
    # etcd has no password, so only Milvus and its storage may reach it
    near = {name for name, one in SERVICES.items() if "vectors" in one["networks"]}
    assert near == {"milvus", "etcd", "objects"}
    assert SERVICES["etcd"]["networks"] == ["vectors"]


@pytest.mark.parametrize("name", SERVICES)
def test_every_container_has_limits_and_a_health_check(name):
    service = SERVICES[name]
    assert service["restart"] == "unless-stopped"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert {"max-size", "max-file"} <= set(service["logging"]["options"])
    limits = service["deploy"]["resources"]["limits"]
    assert limits["memory"] == service["mem_limit"]  # Compose rejects different values
    assert float(limits["cpus"]) > 0
    assert limits["pids"] > 0
    health = service["healthcheck"]
    assert health["test"][0] == "CMD"
    assert {"interval", "timeout", "start_period", "retries"} <= set(health)
    for volume in service.get("volumes", ()):
        assert volume.split(":")[0] in FILE["volumes"]  # only named volumes, no host folders
    for forbidden in ("privileged", "network_mode", "pid", "ipc", "cap_add", "devices"):
        assert forbidden not in service


def test_containers_with_a_read_only_root_have_no_config_files():
    # Compose rejects the combination; source: https://github.com/docker/compose/pull/12531
    assert not [
        name
        for name, service in SERVICES.items()
        if service.get("read_only") and {"configs", "secrets"} & set(service)
    ]


def test_images_are_pinned_and_ours_has_this_version():
    for name, service in SERVICES.items():
        _, _, tag = service["image"].rpartition(":")
        assert re.fullmatch(r"v?\d+\.\d+(\.\d+)?", tag), name
    assert SERVICES["service"]["image"] == f"imgsearch:{imgsearch.__version__}"


def test_services_start_after_healthy_dependencies():
    needs = {name: one.get("depends_on", {}) for name, one in SERVICES.items()}
    assert set(needs["service"]) == {"milvus", "mariadb", "objects"}
    assert set(needs["milvus"]) == {"etcd", "objects"}
    assert set(needs["attu"]) == {"milvus"}
    for conditions in needs.values():
        assert all(how == {"condition": "service_healthy"} for how in conditions.values())


def test_stores_of_the_service_are_set_by_its_variables(running):
    services = running["services"]
    environment = services["service"]["environment"]
    assert set(environment) <= set(VARIABLES)
    settings = Settings.from_environment(environment)

    milvus = services["milvus"]["environment"]
    assert urlsplit(settings.db).hostname == "milvus"
    assert settings.token(settings.db) == f"root:{milvus['COMMON_SECURITY_DEFAULTROOTPASSWORD']}"
    assert milvus["COMMON_SECURITY_AUTHORIZATIONENABLED"] == "true"

    catalog, database = urlsplit(settings.catalog), services["mariadb"]["environment"]
    assert catalog.hostname == "mariadb"
    assert catalog.username == database["MARIADB_USER"]
    assert catalog.path == f"/{database['MARIADB_DATABASE']}"
    assert catalog.password is None
    assert settings.catalog_password == database["MARIADB_PASSWORD"]

    objects = urlsplit(settings.objects)
    assert parse_qs(objects.query)["endpoint"] == ["http://objects:9000"]
    assert milvus["MINIO_ADDRESS"] == "objects:9000"
    assert "-s3.port=9000" in services["objects"]["command"]
    identities = {
        (credential["accessKey"], credential["secretKey"]): identity["actions"]
        for identity in yaml.safe_load(running["configs"]["buckets"]["content"])["identities"]
        for credential in identity["credentials"]
    }
    theirs = (milvus["MINIO_ACCESS_KEY_ID"], milvus["MINIO_SECRET_ACCESS_KEY"])
    assert identities == {
        (settings.s3_key, settings.s3_secret): [f"Admin:{objects.netloc}"],
        theirs: [f"Admin:{milvus['MINIO_BUCKET_NAME']}"],
    }


def test_attu_starts_on_request_and_knows_no_secret(running):
    profiles = {name: one["profiles"] for name, one in SERVICES.items() if "profiles" in one}
    assert profiles == {"attu": ["attu"]}
    assert running["services"]["attu"]["environment"] == {"MILVUS_URL": "milvus:19530"}
    assert "attu" not in {
        needed for one in SERVICES.values() for needed in one.get("depends_on", ())
    }


def test_extras_and_constraints_reach_the_build(running):
    args = running["services"]["service"]["build"]["args"]
    assert args == {"EXTRAS": "service,mysql,s3,ui", "CONSTRAINTS": "constraints.txt"}
    chosen = {**SECRETS, "IMGSEARCH_EXTRAS": "service,torch", "IMGSEARCH_CONSTRAINTS": "c.txt"}
    other = yaml.safe_load(interpolated(COMPOSE, chosen))["services"]["service"]["build"]["args"]
    assert other == {"EXTRAS": "service,torch", "CONSTRAINTS": "c.txt"}


def make_services(folder, *commands):
    """Run `make services` with only `commands` in the PATH; return its output."""
    for name in ("sh", "printf", *commands):
        (folder / name).symlink_to(shutil.which(name) or sys.executable)
    done = subprocess.run(
        [shutil.which("make"), "--no-print-directory", "--file", ROOT / "Makefile", "services",
         "SHELL=" + shutil.which("sh")],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


SERVERS = ("my_print_defaults", "chromium", "chromedriver")


def test_missing_packages_are_named_if_they_cannot_be_installed(tmp_path):
    assert "chromium chromium-driver" in make_services(tmp_path, "id")


def test_complete_installation_prints_nothing(tmp_path):
    assert make_services(tmp_path, "id", "mariadbd", *SERVERS) == ""


def test_ci_requires_the_tests_of_the_packages():
    text = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert {"mariadb", "swift", "chromium"} <= set(re.search(r"MUST_RUN=(\S+)", text)[1].split(","))

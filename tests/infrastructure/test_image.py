"""What the image and its composition promise, as far as their files tell; no engine builds them here."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from cio_pipelines.settings import load_settings
from tests.infrastructure.dockerfile import DOCKERFILE, Stage, read_stages, variables
from tests.infrastructure.provider_schema import ENVIRONMENT, ROOT

Stages = dict[str, Stage]
_OWN = {"receiver", "worker", "code-location", "webserver", "daemon"}


def is_not_root(stages: Stages) -> Iterator[str]:
    """The last word on who runs is a number that is not 0: Kubernetes cannot judge a name."""
    users = list(stages.values())[-1].all("USER")
    if not users or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]):
        yield "the image runs as root"


def installs_what_is_locked(stages: Stages) -> Iterator[str]:
    """Every installation by hashes, of wheels, from a lock."""
    commands = [part for stage in stages.values() for run in stage.all("RUN") for part in run.split("&&")]
    installed = [command for command in commands if re.search(r"\bpip\b.* install ", command)]
    if len(installed) < 2:
        yield "nothing is installed"
    for run in installed:
        for asked in ("--require-hashes", "--no-deps", "--only-binary :all:", "-r requirements/"):
            if asked not in run:
                yield f"an installation lacks {asked}"


def ends_without_tools(stages: Stages) -> Iterator[str]:
    """The last stage begins anew, loses pip, and takes the application alone."""
    last = list(stages.values())[-1]
    if last.base in stages:
        yield "the last stage is built on another"
    if not any("pip uninstall" in run for run in last.all("RUN")):
        yield "pip stays"
    for run in last.all("RUN"):
        if re.search(r"apt-get|apk |pip install|gcc|build-essential", run):
            yield "the last stage installs"
    for copied in last.all("COPY"):
        if not copied.startswith("--from=project /app"):
            yield f"the last stage copies {copied}"


def keeps_no_secret(stages: Stages) -> Iterator[str]:
    """Nothing in ARG, ENV or a copied path that is one."""
    for stage in stages.values():
        for name, value in variables(stage).items():
            if re.search(r"KEY|TOKEN|PASSWORD|SECRET", name) or re.search(r"://[^/@:]+:[^@]+@", value):
                yield f"{stage.name} sets {name}"
        for rest in stage.all("COPY") + stage.all("ADD"):
            if re.search(r"^\.\s|\s\.\s|secrets|\.env|\.git\b", rest):
                yield f"{stage.name} copies {rest}"


def prepares_the_manifest(stages: Stages) -> Iterator[str]:
    """dbt's project is parsed at build, into where the programs look."""
    if not any("dbt_project()" in run for run in stages["project"].all("RUN")):
        yield "no manifest is prepared"
    if variables(stages["project"]).get("DBT_TARGET_PATH") != variables(stages["image"]).get(
        "DBT_TARGET_PATH"
    ):
        yield "the manifest is looked for elsewhere"


def tells_its_health(stages: Stages) -> Iterator[str]:
    if not any("/healthz" in rest for rest in stages["image"].all("HEALTHCHECK")):
        yield "nobody asks for the receiver's health"


def pins_its_base(stages: Stages) -> Iterator[str]:
    text = DOCKERFILE.read_text(encoding="utf-8")
    bases = {stage.base for stage in stages.values() if stage.base not in stages}
    if bases != {"${PYTHON}"} or not re.search(
        r"^ARG PYTHON=python:3\.1[123]-slim-bookworm", text, re.MULTILINE
    ):
        yield "the base image is another"


_BREACHES: dict[Callable[[Stages], Iterator[str]], tuple[str, str]] = {
    is_not_root: ("USER 10001:10001\n", "USER root\n"),
    installs_what_is_locked: (
        "--require-hashes --no-deps --only-binary :all: -r requirements/image.txt",
        "-r requirements/image.txt",
    ),
    ends_without_tools: ("FROM ${PYTHON} AS image", "FROM project AS image"),
    keeps_no_secret: ('ARG WAREHOUSES="postgresql://cio@', 'ARG WAREHOUSES="postgresql://cio:password@'),
    prepares_the_manifest: ("    DBT_TARGET_PATH=/app/manifests \\\n", ""),
    tells_its_health: ("/healthz", "/docs"),
    pins_its_base: ("ARG PYTHON=python:3.12-slim-bookworm", "ARG PYTHON=python:latest"),
}


@pytest.mark.parametrize("promise", _BREACHES, ids=lambda each: each.__name__)
def test_the_image(promise: Callable[[Stages], Iterator[str]]) -> None:
    assert list(promise(read_stages())) == []


@pytest.mark.parametrize("promise", _BREACHES, ids=lambda each: each.__name__)
def test_an_image_that_breaks_its_promise_is_found(
    promise: Callable[[Stages], Iterator[str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = _BREACHES[promise]
    text = DOCKERFILE.read_text(encoding="utf-8")
    assert text.count(old) == 1
    (tmp_path / "Dockerfile").write_text(text.replace(old, new))
    monkeypatch.setattr("tests.infrastructure.test_image.DOCKERFILE", tmp_path / "Dockerfile")
    assert list(promise(read_stages(tmp_path / "Dockerfile")))


def test_hadolint_has_nothing_to_say_and_would_say_it(tmp_path: Path) -> None:
    hadolint = [ENVIRONMENT / "bin" / "hadolint", "--config", ROOT / ".hadolint.yaml"]
    done = subprocess.run([*hadolint, DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
    (tmp_path / "Dockerfile").write_text("FROM python:latest\nRUN cd /tmp && sudo pip install dbt\n")
    wrong = subprocess.run([*hadolint, tmp_path / "Dockerfile"], capture_output=True, text=True)
    assert wrong.returncode == 1
    assert "DL3007" in wrong.stdout


def test_the_builder_is_sent_only_what_is_copied() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and line[0] != "#"]
    assert rules[0] == "*"
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    stages = read_stages()
    copied = {
        source.split("/")[0]
        for name in ("packages", "project")
        for rest in stages[name].all("COPY")
        for source in rest.split()[:-1]
    }
    assert copied == allowed


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    # values as an engine would see them that read .env
    values = {"CIO_ENV": "staging", "CUSTOMERIO_REGION": "us", "SECRETS": "./secrets"}
    filled = re.sub(r"\$\{(\w+)(?::[?-][^}]*)?\}", lambda found: values.get(found[1], "filled"), text)
    return yaml.safe_load(filled)["services"]


def test_every_program_of_ours_is_locked_in(services: dict[str, Any]) -> None:
    assert set(services) - _OWN == {"postgres", "redis"}
    for name in _OWN:
        service = services[name]
        assert service["read_only"] is True, name
        assert service["user"] == "10001:10001", name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
    for name, service in services.items():
        assert service.get("healthcheck") or name == "receiver", name
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), name
        assert not service.get("privileged"), name
        assert not service["image"].endswith(":latest"), name


def test_the_composition_gives_each_program_its_settings(services: dict[str, Any], tmp_path: Path) -> None:
    def settings(name: str) -> Any:
        mounted = set(services[name].get("secrets", []))
        environment = dict[str, str]()
        for variable, value in services[name]["environment"].items():
            if value.startswith("/run/secrets/"):
                secret = value.removeprefix("/run/secrets/")
                assert secret in mounted, f"{name} is not given {secret}"
                mounted.remove(secret)
                (tmp_path / secret).write_text("secret")
                value = str(tmp_path / secret)
            if variable not in ("DAGSTER_HOME", "POSTGRES_PASSWORD"):
                environment[variable] = value
        assert not mounted, f"{name} is given {mounted} and does not use it"
        return load_settings(environment)

    assert settings("receiver").webhook_signing_keys() == ("secret",)
    assert settings("worker").track_credentials() == ("secret", "secret")
    location = settings("code-location")
    assert location.engine == "postgresql"
    assert location.landing_url == settings("receiver").landing_url
    for name in ("webserver", "daemon"):
        assert set(services[name]["environment"]) == {"DAGSTER_HOME", "POSTGRES_PASSWORD"}


def test_a_missing_secret_stops_the_composition_and_none_is_committed() -> None:
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for variable in set(re.findall(r"\$\{(\w+)", text)) - {"SECRETS"}:
        assert not re.search(rf"\$\{{{variable}(?!:\?)", text), f"{variable} may be left empty"
    example = (ROOT / ".env.example").read_text(encoding="utf-8")
    asked = set(re.findall(r"\$\{(\w+)", text))
    assert asked == set(re.findall(r"^(\w+)=", example, re.MULTILINE))
    ignored = subprocess.run(
        ["git", "check-ignore", ".env", "secrets/site-id"], cwd=ROOT, capture_output=True, text=True
    )
    assert ignored.stdout.split() == [".env", "secrets/site-id"]


def test_the_composition_s_instance_is_that_of_a_laptop_but_for_its_stores() -> None:
    laptop = yaml.safe_load((ROOT / "dagster.yaml").read_text(encoding="utf-8"))
    composed = yaml.safe_load((ROOT / "compose" / "dagster.yaml").read_text(encoding="utf-8"))
    assert {name: composed[name] for name in laptop} == laptop
    assert set(composed) - set(laptop) == {"storage", "compute_logs"}


def test_the_image_holds_the_same_releases_as_the_tests() -> None:
    def pins(name: str) -> dict[str, str]:
        text = (ROOT / "requirements" / name).read_text(encoding="utf-8")
        return dict(re.findall(r"^([a-z0-9-]+)==([^ ;]+)", text, re.MULTILINE))

    image, tested = pins("image.txt"), pins("runtime.txt")
    assert {name: image.get(name) for name in tested} == tested
    assert {"dagster-postgres", "dagster-k8s"} <= set(image)

"""What a new machine starts from: locks, the list of commands, the instance of a new Dagster home."""

from __future__ import annotations

import re
import runpy
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

ROOT = Path(__file__).parents[1]
LOCKS = sorted(path.name for path in (ROOT / "requirements").glob("*.txt"))


def locked(name: str) -> dict[str, list[str]]:
    """Each requirement of a lock, with the lines that belong to it."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements" / name).read_text(encoding="utf-8").splitlines():
        if line.startswith(" "):
            found[list(found)[-1]].append(line.strip())
        else:
            found[line.rstrip("\\ ")] = []
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_names_versions_and_hashes_and_nothing_else(name: str) -> None:
    requirements = locked(name)

    assert len(requirements) > 20
    for requirement, hashes in requirements.items():
        assert re.fullmatch(r"[a-z0-9-]+==[\w.+]+( ; .+)?", requirement), requirement
        assert hashes, requirement
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes), requirement


def test_make_lock_writes_every_lock() -> None:
    told = subprocess.run(["make", "-n", "lock"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert sorted(re.findall(r"-o requirements/(\S+)", told)) == LOCKS


def test_an_environment_without_a_lock_is_refused() -> None:
    script = [sys.executable, ROOT / "scripts" / "bootstrap.py", "bigemulator"]

    done = subprocess.run(script, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "requirements/bigemulator.txt is not there" in done.stderr


def test_developers_have_what_production_has() -> None:
    assert set(locked("runtime.txt")) <= set(locked("dev.txt"))


def test_make_help_lists_every_command() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    [phony] = re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)

    told = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    assert re.findall(r"^  make ([a-z-]+)", told, re.MULTILINE) == phony.split()


def test_committed_files_name_no_registry_and_no_machine(tmp_path: Path) -> None:
    check = [sys.executable, ROOT / "scripts" / "check_files.py"]
    for name, text in (("a.md", "see http://py" + "pi.org/simple"), ("b.py", 'open("/ho' + 'me/ada/x")')):
        (tmp_path / name).write_text(text)
    (tmp_path / "fine.md").write_text("GET /workspaces, see home/x and docs/ro" + "ot/y")
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "."], cwd=tmp_path, check=True)

    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert [line.partition(":")[0] for line in done.stdout.splitlines()] == ["a.md", "b.py"]


def test_a_new_dagster_home_tells_nobody_and_takes_one_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "dagster.yaml").write_bytes((ROOT / "dagster.yaml").read_bytes())

    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.get_concurrency_config().pool_config.default_pool_limit == 1
        assert instance.run_retries_enabled
        assert not instance.run_retries_max_retries > 2


def test_an_old_python_is_told_what_is_needed(tmp_path: Path) -> None:
    script = (ROOT / "scripts" / "bootstrap.py").read_text(encoding="utf-8")
    code = (
        f"import sys; sys.version_info = (3, 9, 1); __file__ = {str(tmp_path / 'scripts' / 'x')!r}\n{script}"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert done.returncode == 1
    assert "needs Python 3.11 to 3.13" in done.stderr
    assert "is 3.9" in done.stderr


def test_a_python_of_a_version_is_found_among_pyenvs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bootstrap = runpy.run_path(str(ROOT / "scripts" / "bootstrap.py"))
    name = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    real = tmp_path / "pyenv" / "versions" / f"{name.removeprefix('python')}.7" / "bin" / name
    shim = tmp_path / "shims" / name
    for path, line in ((real, f'exec {sys.executable} "$@"'), (shim, "exit 127")):
        path.parent.mkdir(parents=True)
        path.write_text(f"#!/bin/sh\n{line}\n")
        path.chmod(0o700)
    find = bootstrap["find_python"]
    find.__globals__["PYTHON"] = str(tmp_path / "no .venv yet")
    monkeypatch.setenv("PATH", f"{shim.parent}:/bin")
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))

    assert find(sys.version_info[:2]) == str(real)
    assert find((3, 99)) is None

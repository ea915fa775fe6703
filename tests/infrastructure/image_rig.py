"""What the Dockerfile makes, made in a mount namespace: the same commands at the same paths, no engine.

Not shown so: the base image, the lines of the last stage that change the system, and what an engine does.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.infrastructure.dockerfile import Stage, read_stages, variables
from tests.infrastructure.provider_schema import ROOT

_USER = ["setpriv", "--reuid", "10001", "--regid", "10001", "--clear-groups", "--no-new-privs"]
_NO_RIGHTS = ["--bounding-set=-all", "--inh-caps=-all"]
_PATH = "/mnt/shim:/usr/bin:/bin"
# where this Python looks for its library is the folder that it was built in
_LIBRARIES = "LD_LIBRARY_PATH=/mnt/python/lib"


def missing() -> str | None:
    """Why it cannot be done here, if so."""
    if os.geteuid() != 0:
        return "mount namespaces need root"
    for command in ("unshare", "nsenter", "setpriv"):
        if shutil.which(command) is None:
            return f"there is no {command}"
    tried = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, text=True
    )
    return f"mount namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else None


class Image:
    """The tree at /app, inside a namespace that one process holds open."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._app = folder / "app"
        self._app.mkdir()
        made = not Path("/app").exists()
        Path("/app").mkdir(exist_ok=True)
        base = shlex.quote(sys.base_prefix)
        script = f"""
            mount --bind {shlex.quote(str(self._app))} /app
            mount -t tmpfs none /mnt
            mkdir -p /mnt/python /mnt/shim /mnt/data /mnt/dagster
            mount --bind {base} /mnt/python
            printf '#!/bin/sh\\nexec /mnt/python/bin/python3 "$@"\\n' > /mnt/shim/python
            chmod 755 /mnt/shim/python
            chown 10001:10001 /mnt/data
            mkdir -p -m 700 /mnt/private/tmp
            mount --bind /tmp /mnt/private/tmp
            echo ready
            exec sleep infinity
        """
        self._holder = subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "bash", "-ec", script],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._holder.stdout is not None
        assert self._holder.stdout.readline() == "ready\n"
        self._made = made

    def close(self) -> None:
        self._holder.kill()
        self._holder.wait()
        assert self._holder.stdout is not None
        self._holder.stdout.close()
        if self._made:
            Path("/app").rmdir()

    def build(self) -> None:
        """Carry out the stages `packages` and `project`; then nothing but /tmp and /mnt can be written to."""
        stages = read_stages()
        for name in ("packages", "project"):
            self._carry_out(stages[name], variables(stages["packages"]) | variables(stages[name]))
        self._root("mount -o remount,bind,ro /app && mount -t tmpfs -o mode=1777 none /tmp")

    def _carry_out(self, stage: Stage, environment: Mapping[str, str]) -> None:
        for instruction, rest in stage.steps:
            if instruction == "COPY":
                *sources, target = rest.split()
                for source in sources:
                    self._copy(source, self._app / target)
            elif instruction == "RUN":
                given = [f"{name}={value}" for name, value in environment.items()]
                command = [
                    "env",
                    "-i",
                    f"PATH={_PATH}",
                    _LIBRARIES,
                    "HOME=/mnt",
                    *given,
                    "sh",
                    "-ec",
                    f"cd /app\n{rest}",
                ]
                subprocess.run(self._inside(command), check=True)

    def _copy(self, source: str, target: Path) -> None:
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", source],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            check=True,
        ).stdout.decode()
        for name in filter(None, listed.split("\0")):
            inside = Path(name).relative_to(source) if (ROOT / source).is_dir() else Path(Path(name).name)
            to_folder = (
                (ROOT / source).is_dir() or target == self._app or str(target).endswith("requirements")
            )
            path = target / inside if to_folder else target
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, path)

    def run(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        """A command as the image's user; its output is kept."""
        return subprocess.run(
            self._as_user(command, environment or {}), capture_output=True, text=True, timeout=180
        )

    @contextmanager
    def started(
        self, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[bytes]]:
        """The same, while the block runs; ended by SIGTERM."""
        process = subprocess.Popen(self._as_user(command, environment or {}), start_new_session=True)
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(40)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _as_user(self, command: Sequence[str], environment: Mapping[str, str]) -> list[str]:
        ours = variables(read_stages()["image"]) | {"DAGSTER_HOME": "/mnt/dagster"}
        ours["PATH"] = f"/app/.venv/bin:{_PATH}"
        given = [f"{name}={value}" for name, value in (ours | dict(environment)).items()]
        return self._inside([*_USER, *_NO_RIGHTS, "env", "-i", "--chdir=/app", _LIBRARIES, *given, *command])

    def _root(self, script: str) -> None:
        subprocess.run(self._inside(["sh", "-ec", script]), check=True)

    def _inside(self, command: Sequence[str]) -> list[str]:
        return ["nsenter", "--mount", f"--target={self._holder.pid}", *command]

    def let_in(self, socket: Path, where: str) -> None:
        """Show a socket of the machine's /tmp below /mnt."""
        source = shlex.quote(f"/mnt/private{socket}")
        folder = shlex.quote(where)
        name = shlex.quote(f"{where}/{socket.name}")
        self._root(f"mkdir -p {folder} && touch {name} && mount --bind {source} {name}")

    def write(self, path: str, text: str) -> None:
        """Put a file below /mnt/data or /mnt/dagster."""
        subprocess.run(self._inside(["sh", "-c", 'cat > "$0"', path]), input=text, text=True, check=True)

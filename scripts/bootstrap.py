"""Make `.venv` hold what the locks name, the project itself included, and nothing when it already does.

Run by `make setup` with any Python: only the standard library, and syntax that an old one reads far enough
to say that it is too old. The package set is the same on every machine: `requirements/dev.txt` names
versions and hashes, and no index. pip's own configuration says where packages come from.
"""

import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
STAMP = os.path.join(VENV, ".installed")
UNFINISHED = os.path.join(VENV, ".unfinished")
LOCK = os.path.join(ROOT, "requirements", "dev.txt")
INPUTS = [LOCK, os.path.join(ROOT, "pyproject.toml"), os.path.abspath(__file__)]

OLDEST, NEWEST = (3, 11), (3, 13)

# pip's options and what uv, which reads none of pip's files, calls them
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


def main():
    check_python()
    # two `make` at once: the second waits, and then finds everything done
    folder = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    if read(STAMP) == state() and works(PYTHON):
        return 0
    make_venv()
    write(UNFINISHED, "")
    remove(STAMP)
    install()
    write(STAMP, state())
    remove(UNFINISHED)
    return 0


def dotted(version):
    return ".".join(str(part) for part in version[:2])


def check_python():
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SystemExit(
            f"This project needs Python {dotted(OLDEST)} to {dotted(NEWEST)}, and {sys.executable} is "
            f"{dotted(sys.version_info)}.\n"
            "Install one of them, or name it: make setup PYTHON=/path/to/python3.12"
        )


def make_venv():
    """A `.venv` with a Python that runs and has pip.

    What an interrupted set-up left is thrown away: a package that was half written looks installed. So is
    what was made in another folder: its commands name that folder's Python.
    """
    moved = os.path.exists(STAMP) and read(STAMP).splitlines()[:1] != [VENV]
    if moved or os.path.exists(UNFINISHED) or not works(PYTHON):
        shutil.rmtree(VENV, ignore_errors=True)
        os.makedirs(VENV)
        write(UNFINISHED, "")
        made = subprocess.run([sys.executable, "-m", "venv", VENV], stdout=subprocess.PIPE, text=True)
        if made.returncode:
            print(made.stdout.strip(), file=sys.stderr)
            raise SystemExit(
                f"{sys.executable} cannot make virtual environments. On Debian and Ubuntu: "
                f"apt install python{dotted(sys.version_info)}-venv"
            )


def install():
    environment = uv_environment()
    run([PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", locked("uv")])
    uv = [PYTHON, "-m", "uv", "pip"]
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    print("Installing the locked packages (a minute or less) …", flush=True)
    # compiled once here: where Python may not write beside its sources, every start would take 4 s longer
    options = [*quiet, "--compile-bytecode", "--require-hashes", "--python", PYTHON]
    synced = subprocess.run([*uv, "sync", *options, LOCK], cwd=ROOT, env=environment)
    if synced.returncode:
        print("uv could not install them; trying the same with pip, which is slower …", flush=True)
        run([PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", LOCK])
    # hatchling is in the lock: building the project itself takes nothing from the network
    options = ["--quiet", "--python", PYTHON, "--no-deps", "--no-build-isolation"]
    run([*uv, "install", *options, "--editable", ROOT], environment)


def locked(name):
    """A requirements file with the lock's lines for one package: its version and its hashes."""
    entry = re.search(rf"^{re.escape(name)}==.*\n(?: +--hash.*\n)*", read(LOCK), re.MULTILINE)
    if entry is None:
        raise SystemExit(f"{os.path.relpath(LOCK)} does not name {name}: run `make lock`.")
    path = os.path.join(VENV, name + ".txt")
    write(path, entry.group())
    return path


def uv_environment():
    """The environment for uv: what pip is configured with holds for uv too, unless uv has its own setting."""
    environment = dict(os.environ)
    configured = subprocess.run(
        [PYTHON, "-m", "pip", "config", "list"], stdout=subprocess.PIPE, text=True, check=True
    )
    for line in configured.stdout.splitlines():
        key, _, value = line.partition("=")
        name = UV_NAMES.get(key.rpartition(".")[2])
        if name:
            # pip separates several by spaces or lines, uv these by commas and all others by spaces
            between = "," if name == "UV_FIND_LINKS" else " "
            environment.setdefault(name, between.join(value.strip("'\"").replace("\\n", " ").split()))
    # every file's hash is in the lock, so that it does not matter which index it comes from
    environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    environment.setdefault("UV_PYTHON_DOWNLOADS", "never")
    # a cache on another disk cannot be linked to; the warning about it helps nobody
    environment.setdefault("UV_LINK_MODE", link_mode(environment))
    return environment


def link_mode(environment):
    cache = environment.get("UV_CACHE_DIR") or os.path.expanduser("~/.cache/uv")
    while not os.path.exists(cache):
        cache = os.path.dirname(cache)
    return "hardlink" if os.stat(cache).st_dev == os.stat(VENV).st_dev else "copy"


def state():
    """What the environment was made from: this folder and the content of the inputs."""
    contents = [hashlib.sha256(read(path).encode()).hexdigest() for path in INPUTS]
    return "\n".join([VENV, *contents]) + "\n"


def works(python):
    """Whether the environment's Python runs, is of a version we support, and has pip."""
    check = f"import sys, pip; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    try:
        return subprocess.run([python, "-c", check], stderr=subprocess.DEVNULL).returncode == 0
    except OSError:
        return False


def run(command, environment=None):
    done = subprocess.run(command, cwd=ROOT, env=environment)
    if done.returncode:
        raise SystemExit(f"Set-up failed at: {' '.join(command[1:])}\nIt starts afresh next time.")


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except OSError:
        return ""


def write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def remove(path):
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: the next `make setup` starts afresh.")

"""Make an environment hold what its lock names, and nothing when it already does.

Without arguments that is `.venv`, with the locked packages of `requirements/dev.txt` and the project itself.
With names (`bootstrap.py bqemulator`) it is `.venvs/<name>` with those of `requirements/<name>.txt`: programs
that the project starts, and whose packages cannot live beside its own. These are made with the tools of
`.venv`, which has to be there.

Run by `make` with any Python: only the standard library, and syntax that an old one reads far enough
to say that it is too old. The package set is the same on every machine: a lock names versions and hashes,
and no index. pip's own configuration says where packages come from.
"""

import contextlib
import fcntl
import glob
import hashlib
import os
import re
import shutil
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
REQUIREMENTS = os.path.join(ROOT, "requirements")
VENV = os.path.join(ROOT, ".venv")
PYTHON = os.path.join(VENV, "bin", "python")
LOCK = os.path.join(REQUIREMENTS, "dev.txt")

OLDEST, NEWEST = (3, 11), (3, 13)
# environments that are not made with the Python of `.venv`
ONLY = {"local-bigquery": (3, 13)}

# of whose packages a few modules are ever imported: compiling all takes most of a minute
UNCOMPILED = {"infrastructure"}

# pip's options and what uv, which reads none of pip's files, calls them
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "trusted-host": "UV_INSECURE_HOST",
    "cert": "SSL_CERT_FILE",
}


class Environment:
    """A folder with a Python and packages, and what it is made from."""

    def __init__(self, folder, lock, others, check):
        self.folder = folder
        self.python = os.path.join(folder, "bin", "python")
        self.lock = lock
        self.inputs = [lock, os.path.abspath(__file__), *others]
        self.check = check
        """Python that exits with 0 in an environment that works."""
        self.stamp = os.path.join(folder, ".installed")
        self.unfinished = os.path.join(folder, ".unfinished")

    def is_made(self):
        return read(self.stamp) == self.state() and self.works()

    def state(self):
        """What the environment was made from: this folder and the content of the inputs."""
        contents = [hashlib.sha256(read(path).encode()).hexdigest() for path in self.inputs]
        return "\n".join([self.folder, *contents]) + "\n"

    def works(self):
        return runs(self.python, self.check)

    def make(self, python, options, install):
        """A folder with a Python that works, filled by `install`.

        What an interrupted set-up left is thrown away: a package that was half written looks installed. So
        is what was made in another folder: its commands name that folder's Python.
        """
        moved = os.path.exists(self.stamp) and read(self.stamp).splitlines()[:1] != [self.folder]
        if moved or os.path.exists(self.unfinished) or not self.works():
            shutil.rmtree(self.folder, ignore_errors=True)
            os.makedirs(self.folder)
            write(self.unfinished, "")
            command = [python, "-m", "venv", *options, self.folder]
            made = subprocess.run(command, stdout=subprocess.PIPE, text=True)
            if made.returncode:
                print(made.stdout.strip(), file=sys.stderr)
                raise SystemExit(
                    f"{python} cannot make virtual environments. On Debian and Ubuntu: "
                    f"apt install python{dotted(sys.version_info)}-venv"
                )
        write(self.unfinished, "")
        remove(self.stamp)
        install(self)
        write(self.stamp, self.state())
        remove(self.unfinished)


def main(names):
    check_python()
    # two `make` at once: the second waits, and then finds everything done
    folder = os.open(ROOT, os.O_RDONLY)
    fcntl.flock(folder, fcntl.LOCK_EX)
    for name in names:
        make_other(name)
    if not names:
        make_own()
    return 0


def make_own():
    supported = f"import sys, pip; sys.exit(not {OLDEST} <= sys.version_info[:2] <= {NEWEST})"
    own = Environment(VENV, LOCK, [os.path.join(ROOT, "pyproject.toml")], supported)
    if not own.is_made():
        own.make(sys.executable, [], install_own)


def make_other(name):
    """`.venvs/<name>`; said and left out where it needs a Python that is not here."""
    lock = os.path.join(REQUIREMENTS, name + ".txt")
    if not os.path.exists(lock):
        raise SystemExit(f"{name!r} is no environment of this project: requirements/{name}.txt is not there.")
    only = ONLY.get(name)
    supported = f"import sys; sys.exit({only} not in (None, sys.version_info[:2]))"
    other = Environment(os.path.join(ROOT, ".venvs", name), lock, [], supported)
    if other.is_made():
        return
    python = PYTHON if only is None else find_python(only)
    if python is None:
        print(f"{name} needs Python {dotted(only)}, which is not here: the tests that use it are skipped.")
        return
    print(f"Making .venvs/{name} …", flush=True)
    other.make(python, ["--without-pip"], install_other)


def dotted(version):
    return ".".join(str(part) for part in version[:2])


def check_python():
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        raise SystemExit(
            f"This project needs Python {dotted(OLDEST)} to {dotted(NEWEST)}, and {sys.executable} is "
            f"{dotted(sys.version_info)}.\n"
            "Install one of them, or name it: make setup PYTHON=/path/to/python3.12"
        )


def find_python(version):
    """A Python of exactly this version: of `.venv`, on PATH or among pyenv's. None when there is none."""
    pyenv = os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")
    name = "python" + dotted(version)
    installed = glob.glob(os.path.join(pyenv, "versions", dotted(version) + ".*", "bin", name))
    check = f"import sys, venv; sys.exit(sys.version_info[:2] != {version})"
    # pyenv's command on PATH exists for versions too that it is not set to, and then fails
    found = [path for path in [PYTHON, shutil.which(name), *sorted(installed)] if path and runs(path, check)]
    return found[0] if found else None


def install_own(own):
    """The locked packages and the project."""
    environment = uv_environment()
    run([PYTHON, "-m", "pip", "install", "--quiet", "--require-hashes", "--no-deps", "-r", locked("uv")])
    print("Installing the locked packages (a minute or less) …", flush=True)
    # compiled once here: where Python may not write beside its sources, every start would take 4 s longer
    sync(own, environment)
    # hatchling is in the lock: building the project itself takes nothing from the network
    options = ["--quiet", "--python", PYTHON, "--no-deps", "--no-build-isolation"]
    run([PYTHON, "-m", "uv", "pip", "install", *options, "--editable", ROOT], environment)


def install_other(other):
    """The locked packages, and DuckDB's extensions where the programs look for them: below their HOME."""
    sync(other, uv_environment())
    home = os.path.join(other.folder, "home")
    os.makedirs(home, exist_ok=True)
    for extension in re.findall(r"^duckdb-extension-(\w+)==", read(other.lock), re.MULTILINE):
        code = f"import duckdb_extensions; duckdb_extensions.import_extension({extension!r})"
        run([other.python, "-c", code], dict(os.environ, HOME=home))


def sync(target, environment):
    quiet = [] if sys.stderr.isatty() else ["--quiet"]
    compiled = [] if os.path.basename(target.folder) in UNCOMPILED else ["--compile-bytecode"]
    options = [*quiet, *compiled, "--require-hashes", "--python", target.python]
    command = [PYTHON, "-m", "uv", "pip", "sync", *options, target.lock]
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        print("uv could not install them; trying the same with pip, which is slower …", flush=True)
        pip = [PYTHON, "-m", "pip", "--python", target.python]
        run([*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", target.lock])


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


def runs(python, code):
    """Whether this Python exists and the code exits with 0."""
    try:
        return subprocess.run([python, "-c", code], stderr=subprocess.DEVNULL).returncode == 0
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
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("\nInterrupted: the next `make setup` starts afresh.")

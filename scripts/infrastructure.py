"""Fail when Terraform's files or the image are not as terraform fmt, checkov and hadolint want them.

Neither the provider nor a cloud is reached: `terraform validate` needs the provider, which comes from a
registry of its own. tests/infrastructure holds the files to the provider's schema and to their promises.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venvs" / "infrastructure" / "bin"


def main() -> int:
    terraform = shutil.which("terraform")
    if terraform is None:
        print("warning: there is no terraform on PATH: how its files are formatted was not looked at")
    commands: list[Sequence[str | Path]] = [
        *([[terraform, "fmt", "-check", "-diff", "-recursive", "terraform"]] if terraform else []),
        [BIN / "checkov", "--directory", "terraform", "--config-file", "terraform/.checkov.yaml"],
        [BIN / "hadolint", "--config", ".hadolint.yaml", "Dockerfile"],
    ]
    environment = {**os.environ, "CHECKPOINT_DISABLE": "1"}
    # all of them, so that one look shows all there is to repair
    return max(
        subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode for command in commands
    )


if __name__ == "__main__":
    sys.exit(main())

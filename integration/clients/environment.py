"""The Python environment of the gRPC peers, which `deploy/setup.sh test` makes."""

import os
import pathlib
import sys

CACHE = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
PYTHON = CACHE / "portcullis" / "venv" / "bin" / "python3"


def enter(missing):
    """Begins the script again in the environment, because a module is missing outside of it."""
    if sys.prefix == str(PYTHON.parent.parent) or not PYTHON.exists():
        sys.exit(f"{missing}; deploy/setup.sh test installs it")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

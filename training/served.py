"""Starts Switchyard on a model's directory, for as long as a `with` block lasts."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PROGRAM = Path(__file__).parents[1] / "build" / "bin" / "switchyard"


@contextmanager
def served(directory: Path, *options: str, program: Path = PROGRAM) -> Iterator[str]:
    """The base URL (with /v1) of the served model, on free ports of the loopback interface."""
    if not program.exists():
        raise SystemExit(f"{program} is not built: make build")
    command = [str(program), "serve", str(directory), "--port", "0", "--admin-port", "0", *options]
    with (
        tempfile.TemporaryFile("w+") as log,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as process,
    ):
        try:
            for line in process.stdout:
                if line.startswith("ready "):
                    yield line.split()[1] + "/v1"
                    return
            log.seek(0)
            raise SystemExit(f"{' '.join(command)} did not start:\n{log.read()}")
        finally:
            process.terminate()

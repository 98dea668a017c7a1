"""Further attempts at a job: Snakemake makes them whatever the job has failed for.

An error that the user has to mend would end each of them again, after hours in a queue. So a job
leaves its error, and further attempts of the same call of Snakemake end with it at once. The first
attempt of the next call runs.
"""

import contextlib
import json
import os
import uuid
from collections.abc import Generator
from pathlib import Path

from lgd_core.base.errors import TransientError, UserError

# Tells a job which call of Snakemake it is of, with the rest of Snakemake's environment.
CALL = "LGD_CALL"
NAME = "error.json"


def name_call() -> None:
    """Give this call of Snakemake a name, unless this process is a job of a call."""
    os.environ.setdefault(CALL, uuid.uuid4().hex)


@contextlib.contextmanager
def computed_once(folder: Path) -> Generator[None, None, None]:
    """Run a job's block, and leave a UserError that ends it in the job's folder.

    Raises the UserError that an attempt of this call has left, instead of running the block.
    """
    _require_hope(folder)
    try:
        yield
    except UserError as error:
        _leave_error(folder, error)
        raise


def _require_hope(folder: Path) -> None:
    call = os.environ.get(CALL)
    with contextlib.suppress(OSError, json.JSONDecodeError):
        left = json.loads((folder / NAME).read_text())
        if call and left["call"] == call:
            raise UserError(left["error"])


def _leave_error(folder: Path, error: UserError) -> None:
    """Leave an error, unless further attempts may not meet it."""
    call = os.environ.get(CALL)
    if not call or isinstance(error, TransientError) or isinstance(error.__cause__, OSError):
        return
    with contextlib.suppress(OSError):  # they would find out themselves
        folder.mkdir(parents=True, exist_ok=True)
        (folder / NAME).write_text(json.dumps({"call": call, "error": str(error)}))

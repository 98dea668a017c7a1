"""Writing a distilled set in a form of exchange, with its card and its provenance."""

import shutil
from pathlib import Path
from typing import Any

from lgd_core.base.digests import file_digest, files_in
from lgd_core.base.files import atomic, write_json
from lgd_core.config.external import PROVENANCE
from lgd_core.exchange.card import card
from lgd_core.exchange.form import Form
from lgd_core.exchange.leaving import Leaving


def export(target: Path, work: Path, form: Form, leaving: Leaving, stamp: dict[str, Any]) -> None:
    """Write a set in a form into the folder ``target``, which appears when it is complete.

    Parts are written into ``work``, where an interrupted call has left some. ``stamp`` is the
    record of how the set was made; bytes depend on it, the set and the versions of packages alone.
    """
    form.write(work, leaving)
    with atomic(work / "README.md") as temporary:
        temporary.write_text(card(leaving, form, stamp), encoding="utf-8")
    (work / PROVENANCE).unlink(missing_ok=True)
    digests = {path.relative_to(work).as_posix(): file_digest(path) for path in files_in([work])}
    write_json(work / PROVENANCE, stamp | {"files": dict(sorted(digests.items()))})
    shutil.rmtree(target, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(work, target)

"""Whether files outside ``results/`` are still those that a stage has read: names, sizes, contents.

A stage writes a record of the files it has read, with their digests. If names and sizes are still
those of the record, and the contents of all files with a new time of change as well, the files keep
the record's identity, wherever they lie. Otherwise they get a new one, and the stage runs again.
Does not import PyTorch, since every run and every job imports this module.
"""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from lgd_core.base.errors import MissingFolderError, UserError
from lgd_core.base.image_files import file_status, read_bytes, unreadable
from lgd_core.base.processes import temporary_beside
from lgd_core.base.system_errors import patient


@dataclass(frozen=True)
class Listing:
    """Paths of files by their names, which do not depend on where their folder lies.

    ``published`` files belong to a public data set, the same for everybody. They are too many to
    check one by one, so only their names are compared, and not even these while the times of change
    of ``folders`` (by name) stay the same: a folder's is that of the last file added or removed.
    """

    files: Mapping[str, str]
    published: bool = False
    folders: Mapping[str, int] = field(default_factory=dict[str, int])

    def facts(self) -> dict[str, list[int]]:
        """Return [size, mtime in ns] of every file, or only the names of published files."""
        if self.published:
            return {name: [] for name in self.files}
        found = ((name, file_status(path)) for name, path in self.files.items())
        return {name: [status.st_size, status.st_mtime_ns] for name, status in found}


@dataclass(frozen=True)
class Made:
    """What a stage has made from files outside ``results/``: its record and its outputs.

    ``recipe`` is the stage's present configuration; the record holds the one of its last run.
    """

    record: str
    outputs: list[str]
    recipe: dict[str, Any]

    def identity(
        self,
        find: Callable[[], Listing | None],
        folders: Callable[[], Mapping[str, int]] = dict[str, int],
    ) -> str | None:
        """Return the identity of the files that ``find`` lists.

        If they are gone, return that of the files the stage has read. ``find`` returns None if the
        workflow itself fetches the files; the result is then that of the finished stage, or None.
        It is not called if the ``folders`` of published files are those of the finished stage.
        Raises MissingFolderError if the files are gone and the stage would have to read them.
        """
        try:
            if (known := self._of_finished(folders())) is not None:
                return known
            listing = find()
        except MissingFolderError:
            if (known := self._of_finished()) is None:
                raise
            return known
        return self._of_finished() if listing is None else identity_of(listing, self.record)

    def _of_finished(self, folders: Mapping[str, int] | None = None) -> str | None:
        """Return the identity of a finished stage; with ``folders``, only if they are its own."""
        record = _read_record(self.record)
        if record is None or not all(map(os.path.exists, self.outputs)):
            return None
        if folders is not None and not (folders and folders == record.get("folders")):
            return None
        return record["identity"] if record["recipe"] == _as_read(self.recipe) else None


class Reading:
    """The files that a stage reads; ``listing`` is None if the workflow itself has fetched them."""

    def __init__(self, listing: Listing | None) -> None:
        self.listing = listing
        self.facts: dict[str, list[int]] = listing.facts() if listing else {}
        self.digests: dict[str, str] = {}

    def read(self, path: str | Path) -> bytes:
        """Return a file's contents and keep their digest; raises UserError as read_bytes does."""
        contents = read_bytes(path)
        if self.listing and not self.listing.published:
            self.digests[str(path)] = hashlib.sha256(contents).hexdigest()
        return contents

    def note(self, identity: str, recipe: dict[str, Any], record: str | Path) -> dict[str, str]:
        """Write the stage's record; return the digest of all contents, for the stage's artifact.

        Raises UserError if a file has changed since the reading began.
        """
        listing = self.listing
        if listing is None:
            return {}
        if listing.published:
            known = {"identity": identity, "recipe": recipe, "files": {}}
            _write(record, known | {"folders": listing.folders})
            return {"file_names": _digest(sorted(self.facts))}
        files = {
            name: [*facts, self._sha256(listing.files[name])] for name, facts in self.facts.items()
        }
        self._check_unchanged(listing)
        _write(record, {"identity": identity, "recipe": recipe, "files": files})
        return {"contents": _digest({name: entry[-1] for name, entry in files.items()})}

    def _sha256(self, path: str) -> str:
        return self.digests.get(path) or sha256(path)

    def _check_unchanged(self, listing: Listing) -> None:
        for name, now in listing.facts().items():
            if now != self.facts[name]:
                raise UserError(
                    f"{listing.files[name]}: changed while it was read, expected files that "
                    "stay as they are; run again"
                )


def identity_of(listing: Listing, record: str | Path) -> str:
    """Return the identity of files: the record's if they are its files, else a digest of theirs."""
    facts, known = listing.facts(), _read_record(record)
    if known and not listing.published and _same(listing, facts, known["files"]):
        _remember(known | {"files": _with_times(facts, known["files"])}, known, record)
        return known["identity"]
    found = _digest(facts)
    if known and known["identity"] == found:
        _remember(known | {"folders": listing.folders}, known, record)
    return found


@patient
def sha256(path: str | Path) -> str:
    """Return the digest of a file's contents; raises UserError if they cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise unreadable(path, error) from error


def _same(listing: Listing, facts: dict[str, list[int]], known: dict[str, list[Any]]) -> bool:
    """Whether files are those of a record; reads the files whose time of change differs."""
    if facts.keys() != known.keys():
        return False
    if any(facts[name][0] != known[name][0] for name in facts):
        return False
    touched = (name for name in facts if facts[name][1] != known[name][1])
    return all(sha256(listing.files[name]) == known[name][2] for name in touched)


def _with_times(facts: dict[str, list[int]], known: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Return the files of a record with new times, so that touched files are not read again."""
    return {name: [*facts[name], known[name][2]] for name in facts}


def _remember(new: dict[str, Any], known: dict[str, Any], record: str | Path) -> None:
    if new != known:
        with contextlib.suppress(UserError):  # the record only saves time
            _write(record, new)


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


@patient
def _read_record(path: str | Path) -> dict[str, Any] | None:
    """Return a record; None if it is missing or incomplete.

    Raises UserError if the system refuses to read it: without it, all that it is about would be
    made again.
    """
    try:
        value = json.loads(Path(path).read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError):
        return None
    except OSError as error:
        raise unreadable(path, error) from error
    if isinstance(value, dict) and {"identity", "recipe", "files"} <= value.keys():
        return cast("dict[str, Any]", value)
    return None


def _as_read(value: object) -> object:
    """Return a value as it comes back from JSON."""
    return json.loads(json.dumps(value))


@patient
def _write(path: str | Path, value: dict[str, Any]) -> None:
    path = Path(path)
    temporary = temporary_beside(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # none where results lie in object storage
        temporary.write_text(json.dumps(value))
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError(f"{path}: cannot be written ({error.strerror or error})") from error

"""Which errors end further attempts at a job, and until when."""

from pathlib import Path

import pytest

from lgd_core.base import attempts
from lgd_core.base.attempts import computed_once, name_call
from lgd_core.base.errors import BrokenFileError, MissingFolderError, TransientError, UserError


@pytest.fixture(autouse=True)
def call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(attempts.CALL, "first")


def attempt(folder: Path, error: UserError | None = None) -> str:
    """Return the line that ends an attempt at a job, which meets an error if it computes."""
    try:
        with computed_once(folder):
            if error is not None:
                raise error
    except UserError as met:
        return str(met)
    return ""


@pytest.mark.parametrize("kind", [UserError, BrokenFileError])
def test_further_attempts_end_with_the_same_line(tmp_path: Path, kind: type[UserError]) -> None:
    line = "key: found 3, expected 4"
    assert attempt(tmp_path / "job", kind(line)) == line
    assert attempt(tmp_path / "job") == line
    assert attempt(tmp_path / "job") == line
    assert attempt(tmp_path / "another") == ""


def test_the_next_call_runs_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt(tmp_path, UserError("key: found 3"))
    monkeypatch.setenv(attempts.CALL, "second")
    assert attempt(tmp_path) == ""
    assert attempt(tmp_path, UserError("key: found 5")) == "key: found 5"
    assert attempt(tmp_path) == "key: found 5"


@pytest.mark.parametrize("kind", [TransientError, MissingFolderError])
def test_another_host_may_have_what_is_missing(tmp_path: Path, kind: type[UserError]) -> None:
    assert attempt(tmp_path, kind("device: found no GPU")) == "device: found no GPU"
    assert attempt(tmp_path) == ""


def test_a_disk_may_have_room_again(tmp_path: Path) -> None:
    error = UserError("a.json: cannot be written (No space left on device)")
    error.__cause__ = OSError(28, "No space left on device")
    assert attempt(tmp_path, error)
    assert attempt(tmp_path) == ""


def test_a_crash_is_tried_again(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), computed_once(tmp_path):
        raise ZeroDivisionError
    assert attempt(tmp_path) == ""


def test_jobs_without_snakemake_remember_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(attempts.CALL)
    attempt(tmp_path / "job", UserError("key: found 3"))
    assert not (tmp_path / "job").exists()
    assert attempt(tmp_path / "job") == ""


@pytest.mark.parametrize("text", ["", "{", '{"call": "first", "err'])
def test_a_damaged_file_is_no_error(tmp_path: Path, text: str) -> None:
    """A job that was killed may have written half of it."""
    (tmp_path / attempts.NAME).write_text(text)
    assert attempt(tmp_path) == ""


def test_calls_differ_and_jobs_belong_to_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    name_call()
    assert attempts.os.environ[attempts.CALL] == "first", "of a job"
    names = set()
    for _ in range(2):
        monkeypatch.delenv(attempts.CALL)
        name_call()
        names.add(attempts.os.environ[attempts.CALL])
    assert len(names) == 2

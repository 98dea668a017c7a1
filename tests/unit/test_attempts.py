"""Which errors end further attempts at a job, and until when."""

from pathlib import Path

import pytest

from lgd_core.base import attempts
from lgd_core.base.attempts import leave_error, name_call, require_hope
from lgd_core.base.errors import BrokenFileError, MissingFolderError, TransientError, UserError


@pytest.fixture(autouse=True)
def call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(attempts.CALL, "first")


@pytest.mark.parametrize("kind", [UserError, BrokenFileError])
def test_further_attempts_end_with_the_same_line(tmp_path: Path, kind: type[UserError]) -> None:
    require_hope(tmp_path / "job")
    leave_error(tmp_path / "job", kind("key: found 3, expected 4"))
    for _ in range(2):
        with pytest.raises(UserError, match=r"^key: found 3, expected 4$"):
            require_hope(tmp_path / "job")
    require_hope(tmp_path / "another")


def test_the_next_call_runs_the_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leave_error(tmp_path, UserError("key: found 3, expected 4"))
    monkeypatch.setenv(attempts.CALL, "second")
    require_hope(tmp_path)
    leave_error(tmp_path, UserError("key: found 5, expected 4"))
    with pytest.raises(UserError, match="found 5"):
        require_hope(tmp_path)


@pytest.mark.parametrize("kind", [TransientError, MissingFolderError])
def test_another_host_may_have_what_is_missing(tmp_path: Path, kind: type[UserError]) -> None:
    leave_error(tmp_path, kind("device: found no GPU"))
    require_hope(tmp_path)


def test_a_disk_may_have_room_again(tmp_path: Path) -> None:
    error = UserError("a.json: cannot be written (No space left on device)")
    error.__cause__ = OSError(28, "No space left on device")
    leave_error(tmp_path, error)
    require_hope(tmp_path)


def test_jobs_without_snakemake_remember_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(attempts.CALL)
    leave_error(tmp_path / "job", UserError("key: found 3"))
    assert not (tmp_path / "job").exists()
    require_hope(tmp_path / "job")


@pytest.mark.parametrize("text", ["", "{", '{"call": "first", "err'])
def test_a_damaged_file_is_no_error(tmp_path: Path, text: str) -> None:
    """A job that was killed may have written half of it."""
    (tmp_path / attempts.NAME).write_text(text)
    require_hope(tmp_path)


def test_calls_differ_and_jobs_belong_to_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    name_call()
    assert attempts.os.environ[attempts.CALL] == "first", "of a job"
    names = set()
    for _ in range(2):
        monkeypatch.delenv(attempts.CALL)
        name_call()
        names.add(attempts.os.environ[attempts.CALL])
    assert len(names) == 2

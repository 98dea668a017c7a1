"""What the operating system refuses for a while: nothing is lost, and the same call goes on."""

import errno
import os
import resource
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pandas as pd
import pytest
import torch

from lgd_core.base import digests, system_errors
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.csv_files import parse_csv, write_csv
from lgd_core.base.digests import file_digest, file_digests
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, read_json, write_json
from lgd_core.base.image_files import entries, read_bytes
from lgd_core.base.listings import Made
from lgd_core.base.system_errors import PAUSES, patient, remedy, system_error
from lgd_core.base.tensors import load_tensors, save_tensors
from lgd_core.data.arrays import mapped, write_rows

Result = TypeVar("Result")


def without_handles(work: Callable[[], Result]) -> Result:
    """Do some work while this process may open no further file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, soft), hard))
    held = []
    try:
        while True:
            try:
                held.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        return work()
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def write_array(path: Path) -> None:
    write_rows(path, np.arange(3))
    write_json(path.with_suffix(".json"), {"files": file_digests([path])})


def read_array(path: Path) -> object:
    return mapped(path, {"files": {path.name: "known"}}, np.int64, 1)


WRITES: dict[str, Callable[[Path], object]] = {
    "a.json": lambda path: write_json(path, {"x": 1}),
    "a.safetensors": lambda path: save_tensors(path, {"x": torch.ones(2)}, {}),
    "a.csv": lambda path: write_csv(pd.DataFrame({"x": [1]}), path),
    "a.npy": write_array,
    "a.pt": lambda path: Checkpoint(path.parent).save("a", {"step": 1}),
}
READS: dict[str, Callable[[Path], object]] = {
    "a.json": read_json,
    "a.safetensors": load_tensors,
    "a.csv": parse_csv,
    "a.npy": read_array,
    "a.pt": lambda path: Checkpoint(path.parent).load("a"),
}


@pytest.mark.parametrize("name", WRITES)
def test_without_file_handles_reading_is_one_line_and_the_file_stays(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    WRITES[name](path)
    before = path.read_bytes()
    with pytest.raises(UserError) as error:
        without_handles(lambda: READS[name](path))
    assert str(error.value).startswith(f"{path}: ")
    assert "Too many open files" in str(error.value)
    assert path.read_bytes() == before, "a checkpoint that cannot be read now is no broken one"
    if name != "a.npy":
        assert READS[name](path) is not None


@pytest.mark.parametrize("name", WRITES)
def test_without_file_handles_writing_is_one_line_and_the_old_file_stays(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    WRITES[name](path)
    before = {each.name: each.read_bytes() for each in tmp_path.iterdir()}
    with pytest.raises(UserError, match=r"ulimit -n`, then run again") as error:
        without_handles(lambda: WRITES[name](path))
    assert "\n" not in str(error.value)
    assert {each.name: each.read_bytes() for each in tmp_path.iterdir()} == before


def test_a_record_that_cannot_be_read_now_is_no_missing_one(tmp_path: Path) -> None:
    """As a missing one it would make everything again that was made of its files."""
    made = Made(str(tmp_path / "record.json"), [], {"size": 8})
    assert made.identity(lambda: None) is None
    text = '{"identity": "abc", "recipe": {"size": 8}, "files": {}}'
    (tmp_path / "record.json").write_text(text)
    assert made.identity(lambda: None) == "abc"
    with pytest.raises(UserError, match=r"record\.json: cannot be read \(Too many open files\)"):
        without_handles(lambda: made.identity(lambda: None))


STALE = OSError(errno.ESTALE, os.strerror(errno.ESTALE), "file")


class Stale:
    """A function that fails for a stale handle a number of times, and then works."""

    def __init__(self, function: Callable, times: int, error: Exception = STALE) -> None:
        self.function, self.times, self.error, self.calls = function, times, error, 0

    def __call__(self, *arguments: object, **named: object) -> object:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return self.function(*arguments, **named)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Return the pauses that were made, none of which takes time."""
    made: list[float] = []
    monkeypatch.setattr(system_errors.time, "sleep", made.append)
    return made


def stale_user_error() -> UserError:
    error = UserError("file: cannot be read")
    error.__cause__ = STALE
    return error


@pytest.mark.parametrize(
    "error", [STALE, stale_user_error(), RuntimeError("Stale file handle (os error 116)")]
)
def test_a_stale_handle_is_asked_again_a_few_times(pauses: list[float], error: Exception) -> None:
    work = Stale(lambda: "done", 2, error)
    assert patient(work)() == "done"
    assert pauses == list(PAUSES[:2])
    work = Stale(lambda: "done", 9, error)
    with pytest.raises(type(error)):
        patient(work)()
    assert work.calls == 1 + len(PAUSES)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.ENOENT])
def test_other_errors_are_raised_at_once(pauses: list[float], number: int) -> None:
    with pytest.raises(OSError, match=os.strerror(number)):
        patient(Stale(lambda: None, 1, OSError(number, os.strerror(number))))()
    assert pauses == []


@pytest.mark.parametrize("work", [file_digest, read_bytes, read_json, parse_csv, load_tensors])
def test_what_reads_files_waits_for_a_stale_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float], work: Callable
) -> None:
    name = {read_json: "a.json", parse_csv: "a.csv"}.get(work, "a.safetensors")
    path = tmp_path / name
    WRITES[name](path)
    expected = work(path)
    target, function = {
        file_digest: (digests.hashlib, "file_digest"),
        read_bytes: (Path, "read_bytes"),
        read_json: (Path, "read_bytes"),
        parse_csv: (pd, "read_csv"),
        load_tensors: (__import__("lgd_core.base.tensors", fromlist=[""]), "safe_open"),
    }[work]
    # safetensors says of every file that it cannot open that it is not there.
    error = FileNotFoundError("No such file or directory") if work is load_tensors else STALE
    stale = Stale(getattr(target, function), 1, error)
    monkeypatch.setattr(target, function, lambda *words, **named: stale(*words, **named))
    found = work(path)
    assert stale.calls == 2
    assert pauses == [PAUSES[0]]
    assert str(found) == str(expected)


def test_renaming_and_listing_wait_for_a_stale_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", Stale(os.replace, 1))
        with atomic(tmp_path / "a") as temporary:
            temporary.write_text("whole")
    assert (tmp_path / "a").read_text() == "whole"
    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", Stale(os.scandir, 2))
        assert [entry.name for entry in entries(tmp_path)] == ["a"]
    assert pauses == [PAUSES[0], *PAUSES[:2]]


def test_a_checkpoint_waits_for_a_stale_handle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pauses: list[float]
) -> None:
    monkeypatch.setattr(torch, "save", Stale(torch.save, 1))
    Checkpoint(tmp_path).save("a", {"step": 3})
    monkeypatch.setattr(torch, "load", Stale(torch.load, 1))
    assert Checkpoint(tmp_path).load("a") == {"step": 3}
    assert pauses == [PAUSES[0]] * 2


def test_a_file_that_stays_stale_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_json(tmp_path / "a.json", {})
    monkeypatch.setattr(Path, "read_bytes", Stale(Path.read_bytes, 99))
    with pytest.raises(UserError, match=r"a\.json: cannot be read \(Stale file handle\)"):
        read_json(tmp_path / "a.json")


def test_a_system_error_is_found_behind_those_of_libraries() -> None:
    full = OSError(errno.ENOSPC, "full")

    def torch_s() -> None:
        try:
            raise full
        except OSError:
            raise RuntimeError("unexpected pos 64 vs 0")  # noqa: B904

    with pytest.raises(RuntimeError) as caught:
        torch_s()
    assert system_error(caught.value) is full
    found = system_error(ValueError("I/O error: No space left on device (os error 28)"))
    assert found is not None
    assert found.errno == errno.ENOSPC
    memory = "DefaultCPUAllocator: can't allocate memory. Error code 12 (Cannot allocate memory)"
    found = system_error(RuntimeError(memory))
    assert found is not None
    assert remedy(found) == "run fewer jobs at once, then run again"
    assert system_error(OSError("cannot identify image file")) is None
    assert system_error(ValueError("x")) is None

"""Files that are whole or absent, fingerprints, resumption, devices."""

import errno
import io
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from lgd_core.base import progress as bars
from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.devices import describe, hardware, resolve_device
from lgd_core.base.digests import fingerprint
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, read_json, write_json
from lgd_core.base.progress import progress
from lgd_core.base.provenance import stamp
from lgd_core.base.tensors import save_tensors


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def fail_half_way(path: Path, error: BaseException) -> None:
    with atomic(path) as temporary:
        temporary.write_text("half")
        raise error


def test_a_file_appears_only_when_it_is_whole(tmp_path: Path) -> None:
    with atomic(tmp_path / "new" / "file") as temporary:
        temporary.write_text("whole")
        assert not (tmp_path / "new" / "file").exists()
        assert temporary.parent == tmp_path / "new"
    assert contents(tmp_path) == {"new/file": b"whole"}


@pytest.mark.parametrize("error", [RuntimeError("any"), KeyboardInterrupt()])
def test_an_error_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: BaseException
) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(type(error)):
        fail_half_way(tmp_path / "file", error)
    assert contents(tmp_path) == {"file": b"old"}


def test_an_error_leaves_the_old_folder_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").write_text("old")

    def fail() -> None:
        with atomic(tmp_path / "folder") as temporary:
            (temporary / "deep").mkdir(parents=True)
            (temporary / "deep" / "b").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert contents(tmp_path) == {"folder/a": b"old"}


def test_a_folder_is_replaced_by_the_new_one(tmp_path: Path) -> None:
    for name in ("a", "b"):
        with atomic(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).write_text(name)
    assert contents(tmp_path) == {"folder/b": b"b"}


def test_a_full_disk_is_one_line_and_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    path, full = tmp_path / "file", OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    with pytest.raises(UserError) as error:
        fail_half_way(path, full)
    remedy = "make room on its disk, then run again"
    assert str(error.value) == f"{path}: cannot be written (No space left on device); {remedy}"
    assert contents(tmp_path) == {"file": b"old"}


def read_while_writing(path: Path, other: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text("half")
        other.read_text()


def test_an_error_of_another_file_is_that_file_s(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")
    for other in (tmp_path / "nowhere", tmp_path / "file.txt"):
        with pytest.raises(UserError) as error:
            read_while_writing(path, other)
        assert str(error.value) == f"{other}: No such file or directory; run again"
    assert contents(tmp_path) == {"file": b"old"}


@pytest.mark.parametrize(
    "error", [OSError("cannot identify image file"), ConnectionResetError(104, "reset by peer")]
)
def test_an_error_of_a_library_or_the_network_is_not_put_down_to_the_file(
    tmp_path: Path, error: OSError
) -> None:
    with pytest.raises(type(error)) as found:
        fail_half_way(tmp_path / "file", error)
    assert found.value is error
    assert contents(tmp_path) == {}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_renamed_has_reached_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    done, replace = [], os.replace
    monkeypatch.setattr(os, "sync", lambda: done.append("everything"))
    monkeypatch.setattr(os, "fsync", lambda n: done.append(os.readlink(f"/proc/self/fd/{n}")))
    monkeypatch.setattr(os, "replace", lambda *paths: done.append("renamed") or replace(*paths))
    with atomic(tmp_path / kind) as temporary:
        if kind == "folder":
            temporary.mkdir()
        (temporary / "a" if kind == "folder" else temporary).write_text("a")
    written = "everything" if kind == "folder" else str(temporary)
    assert done == [written, "renamed", str(tmp_path)]


@pytest.fixture
def no_room() -> Iterator[None]:
    """Make every write beyond 64 KiB of a file fail."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (65536, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_json(path, {"x": list(range(50_000))}),
        lambda path: save_tensors(path, {"x": torch.zeros(50_000)}, {}),
        lambda path: Checkpoint(path.parent).save(path.stem, {"x": torch.zeros(50_000)}),
    ],
    ids=["json", "tensors", "resume"],
)
def test_no_room_is_one_line_whatever_is_written(
    tmp_path: Path, no_room: None, write: Callable[[Path], None]
) -> None:
    (tmp_path / "file.pt").write_text("old")
    with pytest.raises(UserError, match=r"file\.pt: cannot be written.*File too large") as error:
        write(tmp_path / "file.pt")
    assert "\n" not in str(error.value)
    assert contents(tmp_path) == {"file.pt": b"old"}


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot be written"):
        write_json(tmp_path / "file" / "below", {})


def test_the_rest_of_a_killed_process_goes_with_the_next_write(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    with atomic(tmp_path / "x.csv") as temporary:
        name = temporary.name.replace(str(os.getpid()), str(ended.pid))
        temporary.write_text("whole")
    (tmp_path / name).write_text("rest")
    write_json(tmp_path / "x.csv", {})
    assert list(contents(tmp_path)) == ["x.csv"]


def test_what_another_process_is_writing_beside_stays(tmp_path: Path) -> None:
    with atomic(tmp_path / "x.csv") as temporary:
        temporary.write_text("half")
        with atomic(tmp_path / "x") as other:
            other.write_text("whole")
        assert temporary.exists()
    assert contents(tmp_path) == {"x.csv": b"half", "x": b"whole"}


def test_json_is_readable_and_ends_with_its_digest_and_a_newline(tmp_path: Path) -> None:
    value = {"a": [1], "by number": {10: 0.1, 9: float("inf")}}
    write_json(tmp_path / "x.json", value)
    text = (tmp_path / "x.json").read_text()
    assert text.startswith('{\n  "a": [\n    1\n  ],\n')
    assert re.search(r'\n  "digest": "[0-9a-f]{64}"\n}\n$', text)
    assert read_json(tmp_path / "x.json") == value | {"by number": {"10": 0.1, "9": float("inf")}}


def test_a_fingerprint_changes_with_facts_and_file_contents(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "file"
    path.parent.mkdir()
    path.write_text("one")
    first = fingerprint({"a": 1, "b": 2}, [path])
    assert fingerprint({"b": 2, "a": 1}, [path]) == first
    assert fingerprint({"a": 1, "b": 3}, [path]) != first
    assert fingerprint({"a": 1, "b": 2}, [path.parent]) == first
    os.utime(path, (0, 0))
    assert fingerprint({"a": 1, "b": 2}, [path]) == first
    path.write_text("two")
    assert fingerprint({"a": 1, "b": 2}, [path]) != first
    assert fingerprint({"a": 1, "b": 2}, [path.parent]) != first


def test_state_comes_back_and_is_forgotten_on_request(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state")
    assert checkpoint.load("a") is None
    state = {"weights": {"x": torch.arange(3)}, "step": 4, "losses": [0.5], "by": {1: "one"}}
    checkpoint.save("a", state)
    found = Checkpoint(tmp_path / "state").load("a")
    assert torch.equal(found["weights"].pop("x"), state["weights"].pop("x"))
    assert found == state
    assert checkpoint.load("b") is None
    checkpoint.clear()
    assert checkpoint.load("a") is None
    assert not (tmp_path / "state").exists()


def test_nothing_is_kept_without_a_folder(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Checkpoint(None).save("a", {"step": 1})
    assert Checkpoint(None).load("a") is None
    Checkpoint(None).clear()
    assert contents(tmp_path) == {}


class Payload:
    def __reduce__(self) -> tuple:
        return (print, ("executed",))


def test_a_pickled_object_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    torch.save({"state": {"step": Payload()}, "digest": ""}, tmp_path / "a.pt")
    assert Checkpoint(tmp_path).load("a") is None
    assert "executed" not in capsys.readouterr().out


def test_saving_is_due_after_the_interval(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path, interval=60)
    assert not checkpoint.due()
    now = 160.0
    assert checkpoint.due()
    checkpoint.save("a", {})
    assert not checkpoint.due()


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_one_line(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UserError, match=f"found '{name}'") as error:
        resolve_device(name)
    assert "\n" not in str(error.value)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")


def test_auto_prefers_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cpu") == torch.device("cpu")


def test_a_stamp_names_versions_and_hardware() -> None:
    found = stamp(**describe(torch.device("cpu")), seed=3)
    assert found["seed"] == 3
    assert torch.__version__.startswith(found["versions"]["torch"])
    assert found["versions"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert f"{torch.get_num_threads()} threads" in hardware(torch.device("cpu"))


def test_a_log_gets_few_lines_and_always_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    log = io.StringIO()
    monkeypatch.setattr(bars.sys, "stderr", log)
    with progress("work", 2000) as bar:
        for _ in range(2000):
            bar.update()
    lines = log.getvalue().splitlines()
    assert len(lines) <= 3
    assert "100%" in lines[-1]
    assert "2000/2000" in lines[-1]
    assert all("\r" not in line for line in lines)

"""Temporaries of files: those of writers that have ended go, those of living writers stay."""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lgd_core.base import files, processes
from lgd_core.base.files import atomic, file_system_time, write_json
from lgd_core.base.processes import host, started, temporary_beside

DAY = 24 * 3600.0


def written_elsewhere(folder: Path, monkeypatch: pytest.MonkeyPatch, name: str = "x.csv") -> Path:
    """Return a temporary as a process on another host writes it."""
    with monkeypatch.context() as elsewhere:
        elsewhere.setattr(socket, "gethostname", lambda: "node7.cluster")
        temporary = temporary_beside(folder / name)
    temporary.write_text("half")
    return temporary


def age(path: Path, seconds: float) -> None:
    then = file_system_time(path.parent) - seconds
    os.utime(path, (then, then))


@pytest.mark.parametrize("seconds", [0, DAY - 60])
def test_another_host_s_temporary_stays_for_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """Whether a process of that number runs on this host says nothing about it."""
    temporary = written_elsewhere(tmp_path, monkeypatch)
    age(temporary, seconds)
    monkeypatch.setattr(files, "started", lambda process: None)
    write_json(tmp_path / "x.csv", {})
    assert temporary.read_text() == "half"


def test_another_host_s_temporary_goes_after_a_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = written_elsewhere(tmp_path, monkeypatch)
    age(temporary, DAY + 60)
    write_json(tmp_path / "x.csv", {})
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]


def test_a_folder_is_as_old_as_the_last_change_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary = written_elsewhere(tmp_path, monkeypatch, "set")
    temporary.unlink()
    (temporary / "deep").mkdir(parents=True)
    growing = temporary / "deep" / "growing"
    growing.touch()
    for path in (temporary / "deep", temporary):
        age(path, DAY + 60)
    write_json(tmp_path / "set", {})
    assert growing.exists()
    age(growing, DAY + 60)
    for path in (temporary / "deep", temporary):
        age(path, DAY + 60)
    write_json(tmp_path / "set", {})
    assert not temporary.exists()


@pytest.mark.parametrize("hours", [-25, 25])
def test_this_host_s_clock_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    temporary, now = written_elsewhere(tmp_path, monkeypatch), time.time
    monkeypatch.setattr(time, "time", lambda: now() + hours * 3600)
    write_json(tmp_path / "x.csv", {})
    assert temporary.exists()


def test_what_a_living_process_of_this_host_writes_stays(tmp_path: Path) -> None:
    other = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    own = temporary_beside(tmp_path / "x.csv")
    living = own.with_name(own.name.replace(f".{os.getpid()}", f".{other.pid}"))
    living.write_text("half")
    age(living, 2 * DAY)
    write_json(tmp_path / "x.csv", {})
    assert living.exists()
    other.communicate(b"\n")
    write_json(tmp_path / "x.csv", {})
    assert not living.exists()


def test_files_whose_name_begins_alike_are_not_taken_for_temporaries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    longer = written_elsewhere(tmp_path, monkeypatch, "x.csv.gz")
    age(longer, 2 * DAY)
    for name in (".x.csv.bak", ".x.csv.7"):
        (tmp_path / name).touch()
    write_json(tmp_path / "x.csv", {})
    assert len(list(tmp_path.iterdir())) == 4


def test_a_temporary_names_host_and_process(tmp_path: Path) -> None:
    with atomic(tmp_path / "x") as temporary:
        assert temporary.name == f".x.{host()}.{os.getpid()}"
        temporary.touch()
    assert host().startswith(socket.gethostname().replace(".", "-"))
    assert "." not in host()


@pytest.mark.parametrize(
    ("namespace", "expected"),
    [("pid:[4026531836]", "node7-cluster"), ("pid:[42]", "node7-cluster-42")],
)
def test_a_container_with_processes_of_its_own_is_another_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, namespace: str, expected: str
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "node7.cluster")
    monkeypatch.setattr(processes, "NAMESPACE", tmp_path / "pid")
    assert host() == "node7-cluster", "no /proc"
    (tmp_path / "pid").symlink_to(namespace)
    assert host() == expected


def test_a_start_tells_processes_of_one_number_apart() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert started(process.pid) >= started(os.getpid()) > 0
    process.stdin.close()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert started(process.pid) is None, "ended, though its exit status was not collected"
    process.wait()
    assert started(process.pid) is None

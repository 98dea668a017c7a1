"""One job at a time works in a folder, whichever host it runs on and whatever its clock says."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lgd_core.base import owners
from lgd_core.base.errors import UserError
from lgd_core.base.owners import Owner, owning, this_process
from lgd_core.base.processes import host, started

HOUR = 3600.0


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait fractions of seconds in place of minutes."""
    for name, seconds in {"RENEW": 0.02, "SILENT": 1.0, "POLL": 0.02}.items():
        monkeypatch.setattr(owners, f"{name}_SECONDS", seconds)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "work"


@pytest.fixture
def other() -> Iterator[subprocess.Popen]:
    """Start a process that waits."""
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    yield process
    process.kill()
    process.communicate()


def owned(folder: Path, owner: Owner) -> Path:
    """Write the file of another owner, as it has just renewed it."""
    path = folder / owners.NAME / "other.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(asdict(owner)))
    os.utime(path)
    return path


def on_this_host(process: int) -> Owner:
    return Owner(host(), process, started(process) or 0, "", 0)


AFAR = Owner("elsewhere", 7, 1, "", 0)


def take(folder: Path) -> tuple[str, list[str]]:
    """Own a folder for a moment; return the line on its former owner, and what was logged."""
    lines: list[str] = []
    with owning(folder, lines.append) as taken:
        assert owners.owner_of(folder) == this_process()
    return taken, lines


def refused(folder: Path) -> str:
    with pytest.raises(UserError) as error, owning(folder, lambda _: None):
        pass
    assert "\n" not in str(error.value)
    return str(error.value)


def renewing(path: Path, times: int) -> threading.Thread:
    """Start to renew a file, as a living owner on another host does."""

    def renew() -> None:
        for _ in range(times):
            time.sleep(0.05)
            os.utime(path)

    thread = threading.Thread(target=renew)
    thread.start()
    return thread


def test_a_folder_is_left_as_it_was(folder: Path) -> None:
    assert take(folder) == ("", [])
    assert not folder.exists()
    folder.mkdir()
    (folder / "kept").touch()
    assert take(folder) == ("", [])
    assert [path.name for path in folder.iterdir()] == ["kept"]


def test_an_owner_renews_its_file_and_no_other(folder: Path) -> None:
    with owning(folder, pytest.fail):
        (own,) = (folder / owners.NAME).iterdir()
        os.utime(own, (0, 0))
        while own.stat().st_mtime == 0:
            time.sleep(0.01)
        others = own.rename(own.with_name("others.json"))
        os.utime(others, (0, 0))
        time.sleep(0.2)
        assert others.stat().st_mtime == 0
    assert others.exists(), "another owner's file stays"


def test_an_owner_clears_its_folder_and_keeps_it(folder: Path) -> None:
    with owning(folder, pytest.fail):
        (folder / "part").mkdir()
        (folder / "part/state.pt").touch()
        (folder / "error.json").touch()
        owners.clear(folder)
        assert [path.name for path in folder.iterdir()] == [owners.NAME]
        assert owners.owner_of(folder) == this_process()
        shutil.rmtree(folder)
        owners.clear(folder)
    assert not folder.exists()


def test_a_living_process_of_this_host_keeps_its_folder(
    folder: Path, other: subprocess.Popen
) -> None:
    path = owned(folder, on_this_host(other.pid))
    os.utime(path, (0, 0))
    line = refused(folder)
    assert line.startswith(f"{folder}: found another job at work in it (process {other.pid} on ")
    assert path.exists()


@pytest.mark.parametrize("collected", [True, False], ids=["gone", "exit status not collected"])
def test_a_folder_of_an_ended_process_is_taken_at_once(
    folder: Path, other: subprocess.Popen, collected: bool
) -> None:
    owned(folder, on_this_host(other.pid))
    other.stdin.close()
    os.waitid(os.P_PID, other.pid, os.WEXITED | (0 if collected else os.WNOWAIT))
    ended = f"{folder}: taken over, its job has ended (process {other.pid} on {host()})"
    assert take(folder) == (ended, [])


def test_a_number_that_another_process_has_got_is_not_the_owner(
    folder: Path, other: subprocess.Popen
) -> None:
    owner = on_this_host(other.pid)
    owned(folder, replace(owner, started=owner.started - 1))
    assert "taken over" in take(folder)[0]


def test_an_owner_on_another_host_that_renews_its_file_keeps_its_folder(folder: Path) -> None:
    path = owned(folder, replace(AFAR, slurm_job="55"))
    thread = renewing(path, 20)
    assert "(process 7 on elsewhere, Slurm job 55)" in refused(folder)
    thread.join()


def test_a_silent_owner_on_another_host_loses_its_folder_after_a_time(folder: Path) -> None:
    owned(folder, AFAR)
    begin = time.monotonic()
    taken, lines = take(folder)
    assert 0.5 < time.monotonic() - begin < 20
    assert "taken over" in taken
    assert lines == [f"{folder}: waiting 1 s for a sign of process 7 on elsewhere"]


def test_an_owner_that_has_long_been_silent_loses_its_folder_at_once(folder: Path) -> None:
    path = owned(folder, AFAR)
    os.utime(path, (path.stat().st_mtime - 2,) * 2)
    taken, lines = take(folder)
    assert "taken over" in taken
    assert lines == [], "no waiting"


@pytest.mark.parametrize("hours", [-1, 1])
@pytest.mark.parametrize("whose", ["this host's", "the file system's"])
@pytest.mark.parametrize("living", [True, False])
def test_clocks_that_are_an_hour_apart_change_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, hours: int, whose: str, living: bool
) -> None:
    now, utime = time.time, os.utime

    def dated(path: str | Path, times: tuple[float, float] | None = None) -> None:
        utime(path, times or (now() + hours * HOUR,) * 2)

    if whose == "this host's":
        monkeypatch.setattr(time, "time", lambda: now() + hours * HOUR)
    else:
        monkeypatch.setattr(os, "utime", dated)
    path = owned(folder, AFAR)
    if living:
        thread = renewing(path, 20)
        assert "found another job at work" in refused(folder)
        thread.join()
    else:
        stamp = path.stat().st_mtime - 2
        os.utime(path, (stamp, stamp))
        taken, lines = take(folder)
        assert "taken over" in taken
        assert lines == []


def test_a_job_that_slurm_has_restarted_elsewhere_goes_on_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slurm tells the batch script alone, in which Snakemake starts the job by srun."""
    monkeypatch.setenv("SLURM_JOB_ID", "55")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "1")
    monkeypatch.setenv(owners.RESTARTS, "0")
    owners.pass_restarts_on()
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    owners.pass_restarts_on()
    owned(folder, replace(AFAR, slurm_job="55"))
    taken, lines = take(folder)
    assert "Slurm job 55" in taken
    assert lines == []


@pytest.mark.parametrize("job", ["55", "56"])
def test_other_jobs_of_slurm_are_judged_by_their_signs(
    folder: Path, monkeypatch: pytest.MonkeyPatch, job: str
) -> None:
    """Another one, or another process of the same one that was not restarted."""
    monkeypatch.setenv("SLURM_JOB_ID", "55")
    path = owned(folder, replace(AFAR, slurm_job=job))
    thread = renewing(path, 20)
    refused(folder)
    thread.join()


def test_a_damaged_file_is_that_of_an_unknown_owner(folder: Path) -> None:
    path = owned(folder, AFAR)
    path.write_text("{")
    thread = renewing(path, 20)
    assert "(unknown)" in refused(folder)
    thread.join()
    assert "taken over" in take(folder)[0]


@pytest.mark.parametrize("left_behind", [True, False])
def test_of_many_at_once_one_gets_the_folder(folder: Path, left_behind: bool) -> None:
    if left_behind:
        owned(folder, on_this_host(2**22 + 1))
    ready, got, refusals = threading.Barrier(8), [], []

    def contend(number: int) -> None:
        ready.wait()
        try:
            with owning(folder, lambda _: None):
                got.append(number)
                end = time.monotonic() + 20
                while len(refusals) < 7 and time.monotonic() < end:  # until all others have tried
                    time.sleep(0.01)
        except UserError as error:
            refusals.append(str(error))

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refusals)) == (1, 7)
    assert all("found another job at work in it" in line for line in refusals)


@pytest.mark.parametrize("owner", [on_this_host(2**22 + 1), AFAR], ids=["this host", "another"])
def test_a_job_that_was_faster_keeps_the_folder_of_an_owner_that_had_ended(
    folder: Path, monkeypatch: pytest.MonkeyPatch, owner: Owner
) -> None:
    """It comes between another job's finding that the owner has ended and what follows from it."""
    owned(folder, owner)
    judge, faster = owners._living, contextlib.ExitStack()

    def judged(*given: object) -> bool:
        living = judge(*given)  # type: ignore[arg-type]
        if not living:
            monkeypatch.setattr(owners, "_living", judge)
            faster.enter_context(owning(folder, lambda _: None))
        return living

    monkeypatch.setattr(owners, "_living", judged)
    with faster:
        assert f"process {os.getpid()} on {host()}" in refused(folder)
        assert owners.owner_of(folder) == this_process()
    assert not folder.exists()


def test_an_empty_place_is_taken(folder: Path) -> None:
    """A job was killed after it had removed its file."""
    (folder / owners.NAME).mkdir(parents=True)
    assert take(folder) == ("", [])

"""A disk that is full or cannot be written: one line that names the file, and nothing half written.

The disks are real ones in memory, which only root may mount; elsewhere the tests are skipped.
"""

import contextlib
import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
import torch
from conftest import toy_autoencoder, toy_transformer
from PIL import Image
from snakemake.iocontainers import InputFiles
from test_exchange import CLASSES, exported

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.csv_files import write_csv
from lgd_core.base.errors import UserError
from lgd_core.base.files import atomic, write_json
from lgd_core.base.logs import open_log
from lgd_core.base.owners import owning
from lgd_core.base.tensors import save_tensors
from lgd_core.data.arrays import appending, write_images, write_rows
from lgd_core.data.distilled import write_folder
from lgd_core.diffusion.prior_training import save_prior
from lgd_core.exchange.form import forms
from lgd_core.figures.gallery import Gallery
from lgd_core.figures.making import save_figure

pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
KILOBYTES = 64
NOISE = torch.randint(0, 256, (12, 3, 64, 64), generator=torch.Generator().manual_seed(0))


def mount(*words: str | Path) -> None:
    """Call mount; without the right to do so the test is skipped."""
    try:
        subprocess.run(["mount", *words], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"needs the right to mount a small disk ({error})")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """Return the folder of a small disk of its own."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount("-t", "tmpfs", "-o", f"size={KILOBYTES}k", "tmpfs", folder)
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


def noisy_set(folder: Path, each: int = 6) -> Path:
    """Write a merged set of three classes whose images do not compress."""
    increments = [
        {
            "images": NOISE[:each].to(torch.uint8),
            "labels": torch.arange(3).repeat_interleave(each // 3),
            "positions": torch.arange(each // 3).repeat(3),
            "scores": torch.zeros(each),
        }
    ] * 3
    write_folder(folder, increments, CLASSES.names, {"formation": 1})
    return folder


def write_figure(path: Path) -> None:
    figure, axes = plt.subplots()
    axes.imshow(NOISE.view(384, 384).numpy())
    save_figure(figure, path, 300, {})


def write_array(path: Path) -> None:
    def picture(number: int) -> Image.Image:
        return Image.fromarray(NOISE[number].permute(1, 2, 0).numpy().astype(np.uint8))

    write_images({path: 64}, picture, 12, 3, 1, pytest.fail, "images")


def write_latents(path: Path) -> None:
    with appending(path, (50_000, 1), 0) as append:
        append(np.zeros((50_000, 1)))


def write_page(path: Path) -> None:
    with atomic(path) as temporary:
        temporary.write_text("page" * 50_000)


def write_page_files(path: Path) -> None:
    columns = dict.fromkeys(("seed", "increment", "position", "nearest"), 0)
    numbers = dict.fromkeys(("score", "learner", "reference", "cosine"), 0.5)
    table = pd.DataFrame({"method": ["lgd"] * 12, "class": [0, 1] * 6} | columns | numbers)
    with atomic(path) as temporary:
        temporary.mkdir()
        gallery = Gallery("", table, NOISE.to(torch.uint8), ["a", "b"], [], "")
        gallery.write_groups(temporary, [range(1), range(1, 2)])


def write_prior(path: Path) -> None:
    with atomic(path) as temporary:
        save_prior(str(temporary), toy_transformer(False), toy_autoencoder())


WRITES: dict[str, Callable[[Path], object]] = {
    "figure": write_figure,
    "merged set": noisy_set,
    "tensors": lambda path: save_tensors(path, {"x": torch.zeros(50_000)}, {}),
    "json": lambda path: write_json(path, {"x": list(range(50_000))}),
    "csv": lambda path: write_csv(pd.DataFrame({"x": range(50_000)}), path),
    "rows": lambda path: write_rows(path, np.zeros(50_000)),
    "array": write_array,
    "latents": write_latents,
    "checkpoint": lambda path: Checkpoint(path).save("a", {"x": torch.zeros(50_000)}),
    "page": write_page,
    "page's files": write_page_files,
    "prior": write_prior,
}


def refusal(write: Callable[[Path], object], path: Path) -> str:
    with pytest.raises(UserError) as error:
        write(path)
    text = str(error.value)
    assert text.startswith(str(path))
    assert "\n" not in text
    return text


def whole(disk: Path) -> list[str]:
    """Return what is on the disk; files that are continued later are no half-written results."""
    return [path.name for path in disk.rglob("*") if path.is_file() and path.name != "latents"]


@pytest.mark.parametrize("kind", WRITES)
def test_a_full_disk_is_said_and_with_more_room_the_same_call_goes_on(
    disk: Path, kind: str
) -> None:
    path = disk / kind
    text = refusal(WRITES[kind], path)
    assert text.endswith(
        "cannot be written (No space left on device); make room on its disk, then run again"
    )
    assert whole(disk) == []
    mount("-o", "remount,size=50m", disk)
    WRITES[kind](path)
    assert path.exists()


@pytest.mark.parametrize("kind", WRITES)
def test_a_disk_that_may_only_be_read_is_said(disk: Path, kind: str) -> None:
    mount("-o", "remount,ro", disk)
    text = refusal(WRITES[kind], disk / kind)
    assert "(Read-only file system); make its file system writable, then run again" in text


@pytest.mark.parametrize("form", forms())
def test_an_export_to_a_full_disk_is_said_and_goes_on(
    disk: Path, tmp_path: Path, form: str
) -> None:
    merged = noisy_set(tmp_path / "merged")
    text = refusal(lambda _: exported(form, merged, disk), disk)
    assert "No space left on device" in text
    assert not (disk / form).exists()
    assert not [path for path in disk.rglob(".*") if path.is_file()], "no temporary is left"
    mount("-o", "remount,size=50m", disk)
    exported(form, merged, disk)
    assert (disk / form / "provenance.json").exists()


def fill(disk: Path) -> None:
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as stream:
        while True:
            stream.write(bytes(512))


def test_an_owner_s_file_on_a_full_disk_leaves_none_that_would_keep_others_out(disk: Path) -> None:
    (disk / "work").mkdir()
    fill(disk)
    with pytest.raises(UserError, match="No space left"), owning(disk / "work", pytest.fail):
        pass
    assert not list((disk / "work").iterdir())
    (disk / "filler").unlink()
    with owning(disk / "work", pytest.fail) as taken:
        assert taken == ""


def test_a_log_on_a_full_disk_loses_lines_and_stops_nothing(disk: Path) -> None:
    fill(disk)
    with open_log(disk / "log") as log:
        print("lost", file=log)
        (disk / "filler").unlink()
        print("kept", file=log)
    assert (disk / "log").read_text().endswith("kept\n")


@pytest.fixture
def job(disk: Path, monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Return what a script gets from Snakemake whose log and results lie on the small disk."""
    monkeypatch.chdir(disk)
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "workflow_scripts")
    config = {"device": "cpu", "precision": "auto", "checkpoint_seconds": 0}
    config["checkpoint_folder"] = "results/.resume"
    settings = SimpleNamespace(settings={"stage": "any"})
    facts = {
        "config": config,
        "params": settings,
        "log": ["log"],
        "wildcards": {},
        "input": InputFiles(),
    }
    return SimpleNamespace(rule="any", threads=1, **facts)


def ending(job: SimpleNamespace, body: Callable[[], object]) -> object:
    """Return what a job says that does some work and ends with an error."""
    from job import running

    with pytest.raises(SystemExit) as ended, running(job):
        body()
    return ended.value.code


def test_a_job_on_a_full_disk_ends_with_the_line_of_its_result(
    disk: Path, job: SimpleNamespace
) -> None:
    def body() -> None:
        fill(disk)
        write_json("result.json", {"x": list(range(50_000))})

    said = ending(job, body)
    assert said == (
        "error: result.json: cannot be written (No space left on device); make room on its disk, "
        "then run again"
    )
    assert not (disk / "result.json").exists()


def test_a_job_whose_log_cannot_be_written_says_so(disk: Path, job: SimpleNamespace) -> None:
    mount("-o", "remount,ro", disk)
    said = ending(job, lambda: None)
    assert said == (
        "error: log: cannot be written (Read-only file system); make its file system writable, "
        "then run again"
    )


def test_an_error_of_the_system_without_a_file_is_one_line(job: SimpleNamespace) -> None:
    def body() -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    assert ending(job, body) == "error: any: Input/output error; run again"


@pytest.mark.parametrize("more", [lambda: np.empty(2**50), lambda: torch.empty(2**50)])
def test_too_little_memory_is_one_line(job: SimpleNamespace, more: Callable) -> None:
    line = "error: any: Cannot allocate memory; run fewer jobs at once, then run again"
    assert ending(job, more) == line

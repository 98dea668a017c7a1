"""Killed again and again, in every stage: the results are those of an undisturbed run.

``pytest tests/workflow/test_random_kills.py -m slow`` prints a line per kill. These variables
change it: LGD_KILLS is the number of kills, LGD_KILL_SEED decides the instants, and
LGD_KILL_SIGNAL=SIGINT sends what Ctrl-C sends in place of SIGKILL.
"""

import math
import os
import random
import signal
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from conftest import Project, new_project, start

from lgd_core.base.owners import NAME, owner_of
from lgd_core.base.processes import started

KILLS = int(os.environ.get("LGD_KILLS", "50"))
SEED = int(os.environ.get("LGD_KILL_SEED", "0"))
SIGNAL = signal.Signals[os.environ.get("LGD_KILL_SIGNAL", "SIGKILL")]
POLL_SECONDS = 0.005
# Most instants lie within this share of a job; one in so many lies after its end, while Snakemake
# notes that it has ended.
WITHIN, ONE_IN = 0.85, 10
AFTERWARDS = 0.3

# One method that needs what lgd and mgd3 need.
RECIPE = """extends: lgd
seed: {source: prior}
modes: {strength: 0.1}
"""
CONFIG = """datasets: [digits]
methods: [steered]
ipc: [20]
seeds: [0]
runs: 1
protocols: [hard, soft_steps]
device: cpu
checkpoint_seconds: 0.1
scores: {rounds: 2, rates: [0.001, 0.01], protocol: hard_steps}
overrides:
  protocols:
    hard_steps: {steps: 100}
    soft_steps: {steps: 100}
  datasets:
    digits:
      prior:
        train:
          autoencoder: {steps: 80}
          transformer: {steps: 100}
      reference: {epochs: 4, evaluations: 2}
      evaluation: {epochs: {10: 15, 50: 15}, evaluations: 2}
      redundancy: {epochs: 15}
      difficulty: {epochs: 6}
      recipes:
        dit:
          learner: {max_epochs: 10, patience: 5, squeeze_epochs: 5}
"""
SETS, SET = "results/digits_ipc20", "results/digits/steered/s0/k1"
TARGETS = [
    *(f"{SETS}/{name}" for name in ("table.html", "gallery.html")),
    *(f"{SETS}/{name}.png" for name in ("redundancy", "curve", "samples", "difficulty")),
    f"{SETS}/export/steered/imagefolder",
    f"{SET}/scores/hard_steps/own/ConvNet-3-w32.json",
]
# Without these the kills would not cover what a run consists of.
EXPECTED = {
    *("fetch_dataset", "prepare_dataset", "train_reference", "train_prior", "fetch_prior"),
    *("encode_dataset", "cluster_modes", "seed_increment", "sample_candidates"),
    *("select_increment", "merge_increment", "train_learner", "label_increments", "evaluate"),
    *("cross_increment", "measure_difficulty", "score_set", "table", "table_page", "gallery"),
    *("redundancy_heatmap", "curve", "samples", "difficulty", "export_set"),
}


@dataclass(frozen=True)
class Running:
    """A job that has begun: the folder of its checkpoints, and its process."""

    folder: Path
    process: int

    @property
    def stage(self) -> str:
        """The name of its rule."""
        return self.folder.name.partition(",")[0]


def running(project: Project) -> Iterator[Running]:
    """Yield the jobs that run; files of owners that were killed do not count."""
    for path in (project.folder / "results/.resume").glob(f"*/{NAME}"):
        owner = owner_of(path.parent)
        if owner and started(owner.process) == owner.started:
            yield Running(path.parent, owner.process)


@dataclass
class Durations:
    """How long the shortest job of every stage takes, as an undisturbed run has it."""

    project: Project
    began: dict[Running, float] = field(default_factory=dict)
    seen: dict[Running, float] = field(default_factory=dict)
    done: threading.Event = field(default_factory=threading.Event)

    def watch(self) -> None:
        """Look at the jobs until the run has ended."""
        while not self.done.wait(POLL_SECONDS):
            now = time.monotonic()
            for job in running(self.project):
                self.seen[job] = now - self.began.setdefault(job, now)

    def seconds(self) -> dict[str, float]:
        """Return the seconds by stage, in the order of the stages."""
        found: dict[str, float] = {}
        for job, took in self.seen.items():
            found[job.stage] = min(found.get(job.stage, took), took)
        return found


def measured(project: Project) -> dict[str, float]:
    """Make all targets undisturbed; return the seconds of every stage, in their order."""
    durations = Durations(project)
    watching = threading.Thread(target=durations.watch)
    watching.start()
    try:
        project.make("--", *TARGETS)
    finally:
        durations.done.set()
        watching.join()
    return durations.seconds()


def spread(stages: list[str], count: int, rng: random.Random) -> Counter[str]:
    """Return how often to kill in each stage: as evenly as can be."""
    order = rng.sample(stages, len(stages))
    return Counter(order[number % len(order)] for number in range(count))


def next_to_kill(project: Project, process: subprocess.Popen, left: Counter[str]) -> Running | None:
    """Wait for a job of a stage in which there are kills left; None if the run ends before."""
    while process.poll() is None:
        for job in running(project):
            if left[job.stage] > 0:
                return job
        time.sleep(POLL_SECONDS)
    return None


def wait_within(project: Project, job: Running, seconds: float) -> float:
    """Wait, no longer than a job runs; return the seconds that have passed."""
    begin = time.monotonic()
    while time.monotonic() - begin < seconds and job in set(running(project)):
        time.sleep(POLL_SECONDS)
    return time.monotonic() - begin


def end(process: subprocess.Popen) -> None:
    """Send the signal to Snakemake and all its jobs, and wait until they have ended."""
    os.killpg(process.pid, SIGNAL)
    process.wait()


def kept(folder: Path) -> str:
    """Return in words what the checkpoints of a job hold."""
    found = []
    for path in sorted(folder.rglob("*.pt")):
        state = torch.load(path, map_location="cpu", weights_only=True)["state"]
        reached = [f"{key} {state[key]}" for key in ("step", "epoch", "done") if key in state]
        reached += [f"{key} of {len(state[key])}" for key in ("parts",) if key in state]
        found.append(" ".join([path.name, *reached[:1]]))
    return ", ".join(found) or "nothing"


def lost(job: Running, ran: float, now: float) -> float:
    """Return the seconds of work that a job had not saved when it was killed, after ``ran``."""
    saved = [path.stat().st_mtime for path in job.folder.rglob("*.pt")]
    return max(0.0, min([ran, *(now - moment for moment in saved)]))


def kill_one(
    project: Project,
    words: list[str],
    left: Counter[str],
    seconds_of: dict[str, float],
    rng: random.Random,
) -> tuple[str, str] | None:
    """Start the run and end it within a stage; return the stage and a line; None if all is made."""
    process = start(project, *words, "--", *TARGETS)
    job = next_to_kill(project, process, left)
    if job is None:
        assert process.returncode == 0, project.logs()
        return None
    late = rng.randrange(ONE_IN) == 0
    wanted = math.inf if late else rng.uniform(0, WITHIN * seconds_of[job.stage])
    seconds = wait_within(project, job, wanted)
    time.sleep(rng.uniform(0, AFTERWARDS) if late else 0)
    hit, now = next(running(project), None), time.time()
    end(process)
    project.make("--unlock")
    if hit is None:
        return job.stage, f"{seconds:.2f} s after the start of {job.folder.name}, between jobs"
    ran = seconds if hit == job else now - (hit.folder / NAME).stat().st_mtime
    work = f"lost {lost(hit, ran, now):.2f} s, kept {kept(hit.folder)}"
    return hit.stage, f"in {hit.folder.name}, {ran:.2f} s after its start: {work}"


@pytest.mark.slow
def test_killed_again_and_again_in_every_stage(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    undisturbed, project = (new_project(tmp_path / name) for name in ("undisturbed", "killed"))
    for each in (undisturbed, project):
        (each.folder / "tiny.yaml").write_text(CONFIG)
        (each.folder / "config/methods/steered.yaml").write_text(RECIPE)
    rng, seconds = random.Random(SEED), measured(undisturbed)
    assert set(seconds) >= EXPECTED
    left, words, covered = spread(list(seconds), KILLS, rng), [], Counter()

    while left.total() > 0:
        killed = kill_one(project, words, left, seconds, rng)
        if killed is None:  # a stage ended before it could be killed as often as it should be
            words = ["--forcerun", next(stage for stage, count in left.items() if count > 0)]
            continue
        stage, line = killed
        left[stage] -= 1
        covered[stage] += line.startswith("in ")
        with capsys.disabled():
            print(f"\n{KILLS - left.total()}. {SIGNAL.name} {line}", end="")
    with capsys.disabled():
        print(f"\nkilled within a job: {covered.total()} of {KILLS};", dict(covered))
    project.make(*words, "--", *TARGETS)
    assert project.digests() == undisturbed.digests()

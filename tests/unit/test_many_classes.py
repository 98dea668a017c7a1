"""Memory that sets of many classes take: shards, selection, increments that are joined."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import CPU, SEEN, changed

from lgd_core.base.digests import Joined, digest
from lgd_core.base.tensors import save_tensors
from lgd_core.config.divisions import class_runs
from lgd_core.config.models.images import StoredImageConfig
from lgd_core.config.settings import StoredImages
from lgd_core.data.distilled import load_increments
from lgd_core.distill.selection import (
    best_of_positions,
    build_increment,
    load_memory,
    load_shards,
    select_shards,
    stack_memory,
)
from lgd_core.networks.training import Images

CLASSES, SIDE, POSITIONS, KAPPA = 120, 64, 5, 3
STORED = StoredImages(classes=CLASSES, image=StoredImageConfig(size=SIDE, channels=3))
MIB = 2**20
IMAGES = CLASSES * POSITIONS * 3 * SIDE**2 / MIB
LATENTS = CLASSES * POSITIONS * 4 * 32**2 * 4 / MIB
HALVED = changed(SEEN, classes=CLASSES, image={"size": SIDE, "train_size": SIDE // 2})


def drawn(labels: list[int], key: int = 0) -> dict[str, torch.Tensor]:
    """Return candidates whose values differ from class to class, whatever the shards."""
    parts = []
    for label in labels:
        rng = torch.Generator().manual_seed(1000 * key + label)
        shape = (1, POSITIONS, KAPPA)
        parts.append(
            {
                "images": torch.randint(0, 256, (*shape, 3, SIDE, SIDE), generator=rng).byte(),
                "latents": torch.randn(*shape, 4, 32, 32, generator=rng),
                "scores": torch.randn(*shape, generator=rng),
            }
        )
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


def increment_of(candidates: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Return the increment of all classes that learnability chooses."""
    best = best_of_positions(candidates["scores"])
    return build_increment(candidates, list(range(CLASSES)), best)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the candidates of four shards and three increments."""
    folder = tmp_path_factory.mktemp("many")
    for shard in range(4):
        labels = class_runs(CLASSES, 4)[shard]
        save_tensors(folder / f"{shard}of4.safetensors", drawn(labels), {"labels": labels})
    for k in range(3):
        increment = increment_of(drawn(list(range(CLASSES)), k))
        save_tensors(folder / f"k{k}.safetensors", increment, {"formation": 1})
    return folder


PROBE = """
import json, sys, threading, time
from pathlib import Path
import torch
from lgd_core.config.settings import SeenImages, StoredImages
from lgd_core.data.distilled import load_increment, load_increments, write_folder
from lgd_core.distill.selection import load_memory, select_shards
from lgd_core.networks.training import Images

folder, seen = Path(sys.argv[1]), SeenImages.model_validate_json(sys.argv[2])
shards, increments = (sorted(folder.glob(name)) for name in ("*of4.safetensors", "k*.safetensors"))
stored = StoredImages(classes=seen.classes, image={"size": seen.image.size, "channels": 3})

def anonymous():
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024

def peak(work):
    before, found, done = anonymous(), [], threading.Event()
    def watch():
        while not done.is_set():
            found.append(anonymous())
            time.sleep(0.0005)
    watcher = threading.Thread(target=watch)
    watcher.start()
    kept = work()
    done.set()
    watcher.join()
    return max(*found, anonymous()) - before

print(json.dumps({
    "memory": peak(lambda: load_memory(increments, stored, int(sys.argv[3]), [3, 4])),
    "select": peak(lambda: select_shards(shards, stored)),
    "merge": peak(lambda: write_folder(
        folder / "set", [load_increment(path, stored)[0] for path in increments],
        [f"class {label}" for label in range(stored.classes)], {})),
    "join": peak(lambda: Images.of_parts(
        torch.device("cpu"), load_increments(increments, stored), seen)),
}))
"""


@pytest.fixture(scope="module")
def peaks(files: Path) -> dict[str, float]:
    """Return the MiB that each kind of work takes in a process of its own, but mapped files."""
    # Freed blocks go back at once, so that none serves the next work.
    limits = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "0"}
    command = [sys.executable, "-c", PROBE, str(files), HALVED.model_dump_json(), str(POSITIONS)]
    run = subprocess.run(
        command, env=os.environ | limits, capture_output=True, text=True, check=True
    )
    print(run.stdout)
    return json.loads(run.stdout)


def test_a_shard_takes_the_memory_of_its_own_classes(peaks: dict[str, float]) -> None:
    own = 3 * LATENTS * 2 / CLASSES
    assert own < peaks["memory"] < 2 * own + 8 < LATENTS


def test_selection_takes_what_it_keeps_and_one_shard(peaks: dict[str, float]) -> None:
    kept = IMAGES + LATENTS
    assert kept < peaks["select"] < 1.5 * kept + 8 < KAPPA * kept


def test_a_folder_is_written_without_its_increments_in_memory(peaks: dict[str, float]) -> None:
    assert peaks["merge"] < 8 < 3 * IMAGES


def test_increments_are_joined_at_the_size_that_networks_see(peaks: dict[str, float]) -> None:
    seen = 3 * IMAGES / 4
    # Twice: every increment, then all in one. A batch of 500 is resized as float32.
    batch = 500 * 3 * SIDE**2 * 4 * 1.5 / MIB
    assert seen < peaks["join"] < 2 * seen + batch + 8


def test_a_shard_s_memory_is_that_of_its_classes_in_the_whole(files: Path) -> None:
    paths = sorted(files.glob("k*.safetensors"))
    labels = list(range(CLASSES))
    increments = [increment_of(drawn(labels, k)) for k in range(3)]
    whole = stack_memory(increments, CLASSES)
    for own in ([7], [40, 41, 42], labels):
        found = load_memory(paths, STORED, POSITIONS, own)
        assert torch.equal(found, whole[own])
        assert found.untyped_storage().nbytes() == len(own) * whole[0].numel() * 4


def test_selection_by_shards_keeps_what_selection_of_all_keeps(files: Path) -> None:
    labels = list(range(CLASSES))
    expected = increment_of(drawn(labels))
    found, stamps = select_shards(sorted(files.glob("*of4.safetensors")), STORED)
    assert [len(stamp["labels"]) for stamp in stamps] == [30] * 4
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype
        assert torch.equal(found[name], tensor), name
    assert len(list(load_shards(sorted(files.glob("*of4.safetensors")), STORED))) == 4


@pytest.mark.parametrize("factor", [1, 2])
@pytest.mark.parametrize("side", [SIDE, 24])
def test_parts_of_a_set_are_seen_as_the_whole(files: Path, factor: int, side: int) -> None:
    seen = changed(SEEN, classes=CLASSES, image={"size": SIDE, "train_size": side})
    stored = load_increments(sorted(files.glob("k*.safetensors")), STORED)
    whole = Images.of_set(CPU, torch.cat(stored.images), torch.cat(stored.labels), factor, seen)
    parts = Images.of_parts(CPU, stored._replace(factor=factor), seen)
    assert torch.equal(parts.images, whole.images)
    assert torch.equal(parts.labels, whole.labels)
    assert parts.images.shape == (3 * CLASSES * POSITIONS * factor**2, 3, side, side)


def test_a_digest_of_parts_is_that_of_the_whole() -> None:
    whole = torch.arange(24.0).view(6, 4)
    assert digest([Joined(whole.split([1, 2, 3])), 1]) == digest([whole, 1])
    assert digest(Joined([whole[:3], whole[:3]])) != digest(whole)

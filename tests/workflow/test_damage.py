"""A result that is damaged or another's after it was written stops the next job with one line."""

import os
import shutil

import pytest

from lgd_core.base.tensors import load_tensors
from lgd_core.config.settings import NetworkSpec
from lgd_core.networks.classifiers import build_network, save_network

LGD = "results/digits/lgd/s0/k1"


def refusal(project, *words: str) -> str:
    """Call Snakemake, expect the refusal of a job, and return its line."""
    done = project.run(*words)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    return lines[0]


def test_flipped_label_of_an_increment_makes_no_set(copied):
    path = copied.folder / LGD / "increment.safetensors"
    labels = load_tensors(path)[0]["labels"].numpy().tobytes()
    flipped = bytes([labels[0] ^ 1]) + labels[1:]
    path.write_bytes(path.read_bytes().replace(labels, flipped))
    shutil.rmtree(copied.folder / LGD / "distilled")
    assert f"{LGD}/increment.safetensors: found contents" in refusal(
        copied, "--", f"{LGD}/distilled"
    )
    assert not (copied.folder / LGD / "distilled").exists()
    path.unlink()
    copied.make("--", f"{LGD}/distilled")
    assert len(list((copied.folder / LGD / "distilled").rglob("*.png"))) == 200


def test_learner_of_another_architecture_is_not_trained_on(copied):
    path = copied.folder / "results/digits/lgd/s0/k0/learner.safetensors"
    before = path.stat()
    spec = NetworkSpec(name="ConvNet-2-w8", channels=1, size=8, classes=10)
    save_network(path, build_network(spec, "key"), spec, {})
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    (copied.folder / LGD / "learner.safetensors").unlink()
    line = refusal(copied, "--", f"{LGD}/learner.safetensors")
    assert "k0/learner.safetensors: network.name: found ConvNet-2-w8, expected" in line


@pytest.mark.parametrize("name", ["test_images.npy", "prepared.json"])
def test_cut_arrays_are_named(copied, name):
    path, runs = f"results/digits/data/{name}", f"{LGD}/evaluate/hard/ConvNet-3-w32/r0.json"
    file = copied.folder / path
    before = file.stat()
    file.write_bytes(file.read_bytes()[:-9])
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert f"{path}: found" in refusal(copied, "-R", "evaluate", "--", runs)

"""Selected, composed and pixel-optimised baselines, made from what the finished project has."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from conftest import copy_of, kill, start, wait_for

from lgd_core.base.tensors import load_tensors

METHODS = ["herding", "kcenter", "forgetting", "ccs", "rded", "dm", "idc1"]
RUN = ("--config", f"methods=[{','.join(METHODS)}]", "ipc=[10]")
TABLE = "results/digits_ipc10/table.csv"
INCREMENT = "results/digits/{}/s0/k{}/increment.safetensors"
IDC = "results/digits/idc1/s0/k0"


@pytest.fixture(scope="module")
def baselines(finished, tmp_path_factory):
    """The finished project with the first increment of every baseline, and the second of one."""
    project = copy_of(finished, tmp_path_factory.mktemp("baselines") / "project")
    more = [INCREMENT.format("herding", 1), f"{IDC}/learner.json", f"{IDC}/cross_increment.json"]
    project.make(*RUN, "--", TABLE, *more)
    return project


def images_of(project, method, k=0):
    tensors, metadata = load_tensors(project.folder / INCREMENT.format(method, k))
    return tensors["images"], metadata


def test_every_baseline_has_a_row_and_a_recipe(baselines):
    table = pd.read_csv(baselines.folder / TABLE)
    assert list(table["method"]) == [*METHODS, "full"]
    # Crops of four pixels teach nothing.
    assert table.loc[table["method"] != "rded", "top1_mean"].between(15, 100).all()
    for method in METHODS:
        images, metadata = images_of(baselines, method)
        assert images.shape == (100, 1, 8, 8)
        drawn = metadata["recipe"]["method"]["draw"] or {"keys": {}}
        assert ("condensation" in drawn["keys"]) == (method in ("dm", "idc1"))


def test_a_network_is_inverted_whose_reference_has_batch_norm(baselines, tmp_path):
    """SRe2L from a reference of its own: both increments, from no real image."""
    project = copy_of(baselines, tmp_path / "project")
    network = "datasets: {digits: {reference: {architecture: ConvNet-3-w32-bn}}}"
    short = "methods: {sre2l: {inversion: {steps: 30, roll: 1}}}"
    run = ("--config", "methods=[sre2l]", f"overrides={{{network}, {short}}}")
    wanted = [INCREMENT.format("sre2l", k) for k in (0, 1)]
    project.make(*run, "--", *wanted)
    assert "Nothing to be done" in project.make("-n", *run, "--", *wanted)
    images = [images_of(project, "sre2l", k)[0] for k in (0, 1)]
    assert all(found.shape == (100, 1, 8, 8) for found in images)
    assert not (images[0] == images[1]).all()
    refused = project.run("-n", "--config", "methods=[sre2l]", "--", wanted[0])
    assert "expected one with batch normalisation" in refused.stderr


def test_mosaics_hold_four_crops_of_training_images_and_are_seen_whole(baselines):
    images, metadata = images_of(baselines, "rded")
    assert metadata["recipe"]["method"]["draw"]["keys"]["mosaic"]["factor"] == 2
    assert metadata["formation"] == 1, "students see mosaics as they are"
    cells = images.unfold(2, 4, 4).unfold(3, 4, 4)
    assert len({cell.numpy().tobytes() for cell in cells.reshape(400, 4, 4)}) > 390


def test_coresets_are_training_images_and_increments_share_none(baselines):
    real = np.load(baselines.folder / "results/digits/data/originals_images.npy")
    known = {image.tobytes() for image in real}
    first, second = (
        {image.numpy().tobytes() for image in images_of(baselines, "herding", k)[0]} for k in (0, 1)
    )
    assert first | second <= known
    assert not first & second


def test_images_are_pruned_by_how_a_network_learned_them(baselines):
    folder = baselines.folder / "results/digits"
    real = np.load(folder / "data/originals_images.npy")
    rows = {image.tobytes(): row for row, image in enumerate(real)}
    scores, metadata = load_tensors(folder / "dynamics.safetensors")
    assert metadata["recipe"]["dynamics"]["training"]["epochs"] == 6, "those of the reference"
    images, known = images_of(baselines, "forgetting")
    chosen = [rows[image.numpy().tobytes()] for image in images]
    labels = np.load(folder / "data/originals_labels.npy")
    assert labels[chosen].tolist() == [label for label in range(10) for _ in range(10)]
    for label in range(10):
        own = scores["forgetting"][labels == label].sort(descending=True).values[:10]
        found = scores["forgetting"][chosen[10 * label : 10 * label + 10]]
        assert found.tolist() == own.tolist()
    assert known["recipe"]["method"]["draw"]["keys"]["pruning"]["score"] == "forgetting"


def test_networks_see_four_images_in_each_that_idc_stores(baselines):
    learner = json.loads((baselines.folder / f"{IDC}/learner.json").read_text())
    assert learner["images"] == 400
    assert len(list((baselines.folder / IDC).glob("distilled/*/*.png"))) == 100
    for method, factor in (("idc1", 2), ("dm", 1)):
        folder = baselines.folder / f"results/digits/{method}/s0/k0/distilled"
        assert json.loads((folder / "provenance.json").read_text())["formation"] == factor
    assert json.loads((baselines.folder / f"{IDC}/cross_increment.json").read_text())["matrix"]


def test_analyses_and_costs_count_the_images_that_networks_see(baselines, tmp_path):
    project = copy_of(baselines, tmp_path / "project")
    names = ("complementarity.csv", "cost.csv", "difficulty.csv")
    project.replace("tiny.yaml", "epochs: {10: 20, 50: 20}", "epochs: {10: 2, 20: 3, 80: 4}")
    run = ("--config", "methods=[idc1]", "ipc=[20]", "runs=1")
    project.make(*run, "--", *(f"results/digits_ipc20/{name}" for name in names))
    folder = project.folder / "results/digits_ipc20"
    assert pd.read_csv(folder / "complementarity.csv")["images"].tolist() == [400]
    costs = pd.read_csv(folder / "cost.csv").set_index(["stage", "method"])["images"]
    assert costs["evaluate", "idc1"] == 800 * 4, "the epochs of 80 images per class"
    assert costs["sample_candidates", "idc1"] == 100, "images that are stored"
    measured = pd.read_csv(folder / "difficulty.csv").groupby(["method", "increment"]).size()
    assert measured["idc1"].tolist() == [400, 400]


def test_a_killed_condensation_ends_as_an_undisturbed_one(baselines, tmp_path):
    project = copy_of(baselines, tmp_path / "project")
    path = INCREMENT.format("idc1", 0)
    shutil.rmtree(project.folder / IDC)
    process = start(project, *RUN, "--", path)
    wait_for(project, "results/.resume/seed_increment,*/*/condensation.pt", process)
    kill(process)
    project.make("--unlock")
    project.make(*RUN, "--", path)
    assert (project.folder / path).read_bytes() == (baselines.folder / path).read_bytes()
    log = project.folder / "results/logs/seed_increment/digits_idc1_s0.log"
    first = next(line for line in log.read_text().splitlines() if "condensation:" in line)
    assert "| 0/" not in first, "goes on from the step that was kept"

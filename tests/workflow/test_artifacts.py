"""What a finished run leaves behind."""

import csv
import json
import re

import pandas as pd
import pytest
import torch
from conftest import ANALYSES, TARGETS
from PIL import Image
from torchvision.datasets import ImageFolder

from lgd_core.analysis.tables import TABLE_COLUMNS
from lgd_core.base.files import read_json
from lgd_core.base.tensors import load_tensors
from lgd_core.config.settings import NetworkInput
from lgd_core.distill.influence import load_influence
from lgd_core.networks.classifiers import Preprocess

RULES = [
    "fetch_dataset",
    "prepare_dataset",
    "train_prior",
    "fetch_prior",
    "assess_prior",
    "encode_dataset",
    "finetune_prior",
    "cluster_modes",
    "train_reference",
    "train_surrogate",
    "influence_gradients",
    "seed_increment",
    "train_learner",
    "sample_candidates",
    "select_increment",
    "merge_increment",
    "label_increments",
    "evaluate",
    "cross_increment",
    "table",
    "redundancy_heatmap",
    "curve",
    "samples",
    "ablation",
    "cost",
    "measure_difficulty",
    "measure_real_difficulty",
    "trace_guidance",
    "analyses",
    "complementarity",
    "dynamics",
    "difficulty",
    "in_distribution",
    "guidance",
    "class_samples",
    "table_page",
    "gallery",
    "read_external",
    "label_external",
    "evaluate_external",
    "cross_external",
    "difficulty_external",
    "neighbours_external",
    "diagnose_external",
]


def test_table_has_a_row_per_method_and_the_reference(finished):
    table = pd.read_csv(finished.folder / "results/digits_ipc20/table.csv")
    assert tuple(table.columns) == TABLE_COLUMNS
    assert list(table["method"]) == ["random", "dit", "lgd", "full"]
    assert list(table["n"]) == [2, 2, 2, 1]
    assert table["top1_mean"].between(10, 100).all()
    assert (table["best_top1_mean"] >= table["top1_mean"]).all()
    assert table["paper_top1"].isna().all()
    assert table["diff_to_dit"].notna().tolist() == [True, False, True, False]
    above = table["top1_mean"] - table["top1_mean"].iloc[1]
    assert table["diff_to_dit"].iloc[2] == pytest.approx(above.iloc[2], abs=0.011)
    assert table["diff_se"].notna().tolist() == [True, False, True, False]


def test_redundancy_and_curve_tables(finished):
    folder = finished.folder / "results/digits_ipc20"
    redundancy = pd.read_csv(folder / "redundancy.csv")
    columns = ["method", "seed", "train_increment", "test_increment", "top1"]
    assert list(redundancy.columns) == columns
    assert len(redundancy) == 3 * 2 * 2
    curve = pd.read_csv(folder / "curve.csv")
    assert set(curve["phase"]) == {"plateau", "squeeze"}
    assert curve["top1"].notna().sum() == 3 * 2, "an accuracy after every increment"
    assert curve["spike"].notna().sum() == 3, "a spike where increment 1 comes in"


def test_increments_hold_what_they_promise(finished):
    for k in (0, 1):
        path = finished.folder / f"results/digits/lgd/s0/k{k}/increment.safetensors"
        tensors, metadata = load_tensors(path)
        assert tensors["images"].shape == (100, 1, 8, 8)
        assert tensors["images"].dtype == torch.uint8
        assert tensors["latents"].shape == (100, 4, 4, 4)
        assert tensors["labels"].bincount().tolist() == [10] * 10
        assert sorted(tensors["positions"][:10].tolist()) == list(range(10))
        assert {"versions", "hardware", "fingerprint", "recipe"} <= metadata.keys()
    assert tensors["scores"].isfinite().all()
    assert set(tensors["candidates"].tolist()) <= {0, 1, 2}
    assert len(set(tensors["candidates"].tolist())) > 1, "selection chose among candidates"


def test_lgd_shares_the_seed_of_igd(finished):
    dit, igd, lgd = (
        load_tensors(finished.folder / f"results/digits/{method}/s0/k0/increment.safetensors")[0]
        for method in ("dit", "igd", "lgd")
    )
    assert torch.equal(igd["images"], lgd["images"])
    assert not torch.equal(igd["images"], dit["images"])


def test_the_seed_of_igd_has_more_influence_than_that_of_dit(finished):
    """They share noise and surrogate, so that guidance alone makes the difference."""
    folder = finished.folder / "results/digits"
    preprocess = Preprocess([0.305], [0.376], 8)
    path = folder / "influence/gradients.safetensors"
    expected = NetworkInput(channels=1, size=8, classes=10)
    influence = load_influence(path, preprocess, torch.device("cpu"), expected, list(range(10)))
    scores = []
    for method in ("dit", "igd"):
        tensors, _ = load_tensors(folder / f"{method}/s0/k0/increment.safetensors")
        scores.append(influence(tensors["images"] / 255, tensors["labels"]).mean().item())
    assert scores[1] > scores[0]


def test_checkpoints_of_the_surrogate_are_those_of_the_curve(finished):
    folder = finished.folder / "results/digits/influence"
    curve = json.loads((folder / "checkpoints.json").read_text())
    kept = [epoch + 1 for epoch, row in enumerate(curve["curve"]) if row["kept"]]
    assert curve["epochs_kept"] == kept
    assert kept[0] == 1
    tensors, metadata = load_tensors(folder / "gradients.safetensors")
    assert tensors["gradients"].shape[:2] == (len(kept), 10)
    assert {"versions", "hardware", "fingerprint", "recipe"} <= metadata.keys()


def test_the_kept_candidate_is_the_best(finished):
    folder = finished.folder / "results/digits/lgd/s0/k1"
    candidates, _ = load_tensors(folder / "candidates/0of1.safetensors")
    increment, _ = load_tensors(folder / "increment.safetensors")
    assert torch.equal(increment["scores"], candidates["scores"].amax(-1).flatten())
    best = candidates["images"].flatten(0, 1)[torch.arange(100), increment["candidates"]]
    assert torch.equal(best, increment["images"])


def test_distilled_set_is_an_image_folder(finished):
    folder = finished.folder / "results/digits/lgd/s0/k1/distilled"
    tree = ImageFolder(str(folder))
    assert len(tree) == 200
    with open(folder / "manifest.csv", newline="") as stream:
        rows = {row["file"]: row for row in csv.DictReader(stream)}
    names = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]
    for path, label in tree.samples:
        assert rows[path.removeprefix(f"{folder}/")]["class"] == names[label]
    first = rows["0_zero/k001_p000.png"]
    assert first["increment"] == "1"
    assert float(first["score"]) == float(first["score"])


def test_distilled_set_says_how_it_was_made(finished):
    """Data set, method, seed, prior and, of every increment, recipe, precision and hardware."""
    folder = finished.folder / "results/digits/lgd/s0/k1/distilled"
    said = read_json(folder / "provenance.json")
    assert (said["dataset"], said["method"], said["seed"], said["k"]) == ("digits", "lgd", "0", "1")
    seed, first = said["increments"]
    assert seed["method"] == "igd", "increment 0 is shared"
    assert first["recipe"]["method"]["keys"]["guidance"]["learnability"]["strength"] > 0
    assert first["networks"]["learner"]["recipe"]["max_epochs"] > 0
    assert "influence" in seed["networks"]
    known = read_json(finished.folder / "results/digits/prior_source.json")
    for increment in said["increments"]:
        assert increment["prior"]["contents"] == known["contents"]
        assert increment["prior"]["recipe"]["prior"]["source"] == "results/digits/prior"
        assert increment["precision"] == {"networks": "fp32", "prior": "fp32"}
        assert {"hardware", "versions", "device"} <= increment.keys()


def test_every_number_carries_its_evidence(finished):
    for path in (finished.folder / "results/digits").rglob("evaluate/*/*/r*.json"):
        artifact = read_json(path)
        assert artifact["precision"] == {"networks": "fp32"}
        assert {"versions", "hardware", "recipe", "fingerprint", "seed"} <= artifact.keys()
        assert {"top1", "best_top1", "validation_top1"} <= artifact.keys()


def test_figures_are_pictures_with_provenance(finished):
    for target in (*TARGETS[1:], *ANALYSES):
        with Image.open(finished.folder / target) as picture:
            assert min(picture.size) > 300
            assert "fingerprint" in picture.info["Description"]


def test_no_resume_state_is_left(finished):
    checkpoint = finished.folder / "results/.resume"
    assert not checkpoint.exists() or not list(checkpoint.iterdir())


def test_logs_show_progress_with_position_score_rate_and_time_left(finished):
    log = finished.folder / "results/logs/sample_candidates/digits_lgd_s0_k1_0of1.log"
    line = next(line for line in log.read_text().splitlines() if "10/10" in line)
    assert "S=" in line
    assert "it/s" in line or "s/it" in line


def test_report_is_built(copied):
    copied.make("--report", "results/report.html", "--", *TARGETS, *ANALYSES)
    report = (copied.folder / "results/report.html").read_text()
    for text in (
        "redundancy heatmaps",
        "accuracy table",
        "IPC 20",
        "Cross-increment accuracy",
        "n = 1 seed(s)",
        "2 position(s) per class",
        "images of 3_three",
    ):
        assert text in report


def test_mode_guided_increments_and_a_tuned_prior(copied):
    """Increment 1 of mgd3, with its own modes, and increment 0 of minimax, from its own prior."""
    mgd3, minimax = "results/digits/mgd3/s0/k1", "results/digits/minimax"
    targets = [f"{folder}/increment.safetensors" for folder in (mgd3, f"{minimax}/s0/k0")]
    copied.make("--", *targets)
    assert "Nothing to be done" in copied.make("-n", "--", *targets)
    modes, _ = load_tensors(copied.folder / mgd3 / "modes.safetensors")
    assert modes["centres"].shape == (10, 10, 4, 4, 4)
    assert modes["sizes"].sum(1).min() > 100, "every training image of a class is in a cluster"
    _, metadata = load_tensors(copied.folder / mgd3 / "candidates/0of1.safetensors")
    assert sorted(metadata["guidance_ratios"]["modes"]) == ["6", "7", "8", "9"], "the window"
    phase, facts = load_tensors(copied.folder / minimax / "tuned/0of1.safetensors")
    assert facts["recipe"]["labels"] == facts["recipe"]["prior_labels"] == list(range(10))
    own = read_json(copied.folder / "results/digits/prior_source.json")
    assert facts["prior"]["contents"] == own["contents"], "what was tuned"
    assert sum(t.numel() for name, t in phase.items() if name.startswith("values.")) > 1000
    _, seed = load_tensors(copied.folder / minimax / "s0/k0/increment.safetensors")
    assert [known["fingerprint"] for known in seed["prior"]["phases"]] == [facts["fingerprint"]]
    dit, tuned = (
        load_tensors(copied.folder / f"results/digits/{method}/s0/k0/increment.safetensors")[0]
        for method in ("dit", "minimax")
    )
    assert not torch.allclose(dit["latents"], tuned["latents"], atol=1e-3), "another prior"


def test_rules_document_themselves(fresh):
    listing = fresh.make("--list")
    for rule in RULES:
        assert re.search(rf"^{rule} \(.+\.\)$", listing, re.M), f"{rule} has a docstring"

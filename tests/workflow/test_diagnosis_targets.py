"""Diagnosis of folders: one of our own, and one that another program has written."""

import json
import os

import numpy as np
import pandas as pd
import pytest
from conftest import DIAGNOSES, EXTERNAL, copy_of, write_digits
from PIL import Image


def test_a_set_of_our_own_is_judged_as_it_was_before(diagnosed):
    """Same order, keys and protocols: the numbers are equal, not only alike."""
    own = diagnosed.folder / "results/external/own"
    before = diagnosed.folder / "results/digits/lgd/s0/k1"
    student = "evaluate/hard/ConvNet-3-w32"
    for name, key in (
        ("cross_increment", "matrix"),
        (f"{student}/r0", "top1"),
        (f"{student}/r1", "top1"),
    ):
        found, expected = (json.loads((at / f"{name}.json").read_text()) for at in (own, before))
        assert found[key] == expected[key]


def test_table_and_lists_of_a_diagnosis(diagnosed):
    own = diagnosed.folder / "results/external/own"
    table = pd.read_csv(own / "diagnosis.csv").set_index(["section", "metric"])
    sections = ["set", "accuracy", "redundancy", "complementarity", "difficulty", "neighbours"]
    assert list(dict.fromkeys(table.index.get_level_values(0))) == [*sections, "duplicates"]
    matrix = json.loads((own / "cross_increment.json").read_text())["matrix"]
    cells = table.loc["redundancy", "top1"]["value"].to_numpy().reshape(2, 2)
    assert cells == pytest.approx(np.array(matrix), rel=1e-5)
    assert table.loc["complementarity", "errors"]["value"].item() == pytest.approx(
        100 - matrix[0][1], rel=1e-5
    )
    assert table.loc["difficulty", "zone"]["value"].sum() == pytest.approx(100, abs=0.01)
    assert table.loc["accuracy", "top1"]["n"].item() == 2
    for name, columns in (("difficulty", ["mu", "sigma2"]), ("neighbours", ["pixels_row"])):
        rows = pd.read_csv(own / f"{name}.csv")
        assert len(rows) == 200
        assert {"file", *columns} <= set(rows.columns)
    with Image.open(own / "diagnosis.png") as picture:
        assert "fingerprint" in picture.info["Description"]


def test_a_folder_of_another_program(diagnosed):
    mine = diagnosed.folder / "results/external/mine"
    files = pd.read_csv(mine / "set.csv")
    assert (files["label"] == files["file"].str[0].astype(int)).all()
    assert files.groupby("increment").size().tolist() == [20, 20]
    assert np.load(mine / "set_images.npy").shape == (40, 1, 8, 8)
    duplicates = pd.read_csv(mine / "duplicates.csv")
    assert set(duplicates["file"][:2]) == {"7/0.png", "7/3.png"}
    neighbours = pd.read_csv(mine / "neighbours.csv")
    assert (neighbours["pixels_class"] == neighbours["class"]).mean() > 0.9


def test_a_changed_image_is_diagnosed_again(diagnosed, tmp_path):
    project = copy_of(diagnosed, tmp_path / "project")
    assert "Nothing to be done" in project.make("-n", *EXTERNAL, "--", *DIAGNOSES)
    with open(project.folder / "mine/7/3.png", "ab") as stream:
        stream.write(b"changed")
    os.utime(project.folder / "mine/7/3.png")
    planned = {rule for rule, _, _ in project.planned(*EXTERNAL, "--", *DIAGNOSES)}
    assert planned == {"read_external", "neighbours_external"}


def test_no_prior_is_needed(fresh):
    write_digits(fresh.folder / "mine")
    target = "results/external/mine/diagnosis.csv"
    planned = {rule for rule, _, _ in fresh.planned(*EXTERNAL[:1], "external={mine: mine}",
                                                    "--", target)}  # fmt: skip
    assert "diagnose_external" in planned
    assert not any("prior" in rule or "increment" in rule for rule in planned)

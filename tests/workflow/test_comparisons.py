"""Families and cost, on top of a finished run whose jobs they must not repeat."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from conftest import ANALYSES, TARGETS, copy_of
from PIL import Image

from lgd_core.analysis.ablations import ABLATION_COLUMNS
from lgd_core.analysis.costs import COST_COLUMNS
from lgd_core.base.files import read_json
from lgd_core.config.schema import load_yaml

FAMILY = "results/digits/ablation/base_model.csv"
COST = "results/digits_ipc20/cost.csv"
# The paper's ablations with few values each; learner and redundancy are in the table of `compared`.
ABLATIONS = {
    "base_model": {"methods": ["dit", "igd", "lgd", "minimax"]},
    "components": {},
    "cross_architecture": {},
    "gamma": {"values": [0.0, 0.03]},
    "kappa": {"values": [1, 3]},
    "lambda": {"values": [0.1, 0.2]},
    "omega": {"values": [0.0, 0.5]},
    "seed_source": {},
}
VARIANTS = {
    "base_model": ["dit", "igd", "lgd", "minimax"],
    "components": ["dit", "lgd_guidance_only", "lgd_no_ranking", "lgd"],
    "cross_architecture": ["lgd", "lgd_learner_ConvNet-2-w32"],
    "gamma": ["lgd_no_deviation", "lgd"],
    "kappa": ["lgd_no_ranking", "lgd"],
    "lambda": ["lgd", "lgd_lambda0.2"],
    "omega": ["lgd_no_reference", "lgd"],
    "seed_source": ["lgd", "lgd_seed_dit", "lgd_seed_random"],
}


@pytest.fixture(scope="module")
def compared(finished, tmp_path_factory):
    """The finished project, with a family of methods that it has, and its cost."""
    project = copy_of(finished, tmp_path_factory.mktemp("compared") / "project")
    assert project.planned("--", FAMILY, COST) == {("ablation", "", ""): 1, ("cost", "", ""): 1}
    project.make("--", FAMILY, COST)
    return project


def make_report(project, run: tuple[str, ...] = ()) -> str:
    """Call `make report` where everything is installed, and return the report."""
    options = shlex.join(["--configfile", "tiny.yaml", *run])
    words = ["-o", "install", "report", f"BIN={Path(sys.executable).parent}", f"RUN={options}"]
    subprocess.run(["make", *words], cwd=project.folder, check=True)
    return (project.folder / "results/report.html").read_text()


def test_family_table_has_the_numbers_of_the_run(compared):
    family = pd.read_csv(compared.folder / FAMILY)
    assert tuple(family.columns) == ABLATION_COLUMNS
    assert family["value"].tolist() == ["dit", "lgd"] * 2
    assert family["protocol"].tolist() == ["hard"] * 2 + ["incremental"] * 2
    table = pd.read_csv(compared.folder / TARGETS[0]).set_index("method")
    for method, row in family[:2].set_index("method").iterrows():
        assert row["top1_mean"] == table.loc[method, "top1_mean"]
    assert family["diff_to_base"][0] == -table.loc["lgd", "diff_to_dit"]
    assert family["diff_se"][0] == table.loc["lgd", "diff_se"]
    curve = pd.read_csv(compared.folder / "results/digits_ipc20/curve.csv")
    last = curve[curve["increment"] == 1].dropna(subset="top1").set_index("method")["top1"]
    assert family["top1_mean"][2:].tolist() == [last["dit"], last["lgd"]]
    matrix = pd.read_csv(compared.folder / "results/digits_ipc20/redundancy.csv")
    away = matrix[matrix["train_increment"] != matrix["test_increment"]]
    means = away.groupby("method")["top1"].mean()
    assert family["redundancy"][:2].tolist() == pytest.approx(
        [means["dit"], means["lgd"]], abs=0.01
    )


def test_cost_counts_shared_stages_once_and_names_who_uses_them(compared):
    cost = pd.read_csv(compared.folder / COST)
    assert tuple(cost.columns) == COST_COLUMNS
    stages = cost.set_index(["stage", "method"])
    assert stages.index.is_unique
    assert stages.loc[("seed_increment", "dit"), "used_by"] == "dit"
    assert stages.loc[("seed_increment", "igd"), "used_by"] == "lgd"
    for stage in ("train_surrogate", "influence_gradients"):
        assert stages.loc[(stage, "shared"), "used_by"] == "lgd", "its seed is igd's"
    assert "encode_dataset" not in cost["stage"].tolist(), "no method has modes"
    assert stages.loc[("train_prior", "shared"), "used_by"] == "random dit lgd"
    assert ("seed_increment", "lgd") not in stages.index
    assert ("train_learner", "dit") not in stages.index, "which guides nothing"
    assert (stages["seconds"] > 0).all()
    drawn = stages.loc[[("sample_candidates", "dit"), ("sample_candidates", "lgd")]]
    assert drawn["images"].tolist() == [100, 100]
    assert drawn["transformer_forward"].tolist() == [20, 60], (
        "10 steps, 2 branches, 1 or 3 candidates"
    )
    assert drawn["decoder_backward"].tolist() == [0, 21], "7 guided steps, 3 candidates"
    kept = read_json(compared.folder / "results/digits/influence/checkpoints.json")["epochs_kept"]
    passes = stages.loc[("seed_increment", "igd"), "surrogate_forward"]
    assert passes == 4 * len(kept), "4 guided steps"
    assert stages.loc[("evaluate", "lgd"), "images"] == 200 * 20 * 2, "images, epochs, runs"
    for target in (FAMILY, COST):
        with Image.open((compared.folder / target).with_suffix(".png")) as picture:
            assert min(picture.size) > 300
            assert "fingerprint" in picture.info["Description"]


def test_cost_made_again_repeats_no_job(compared):
    assert "Nothing to be done" in compared.make("-n", "--", FAMILY, COST, *TARGETS)
    assert compared.planned("--forcerun", "cost", "--", COST) == {("cost", "", ""): 1}


def test_cost_of_rivals_has_what_only_they_need_and_each_once(compared):
    run = ("--config", "methods=[herding,dm,mgd3,minimax,minimax_lgd]")
    output = compared.make("-n", *run, "--", COST)
    rule = next(part for part in output.split("\nrule ") if part.startswith("cost:"))
    inputs = re.search(r"input: (.*)", rule)[1].split(", ")
    assert len(inputs) == len(set(inputs))
    folder = "results/benchmarks"
    assert {
        f"{folder}/train_reference/digits.tsv",
        f"{folder}/train_surrogate/digits.tsv",
        f"{folder}/encode_dataset/digits.tsv",
        f"{folder}/cluster_modes/digits_mgd3_s0_k0.tsv",
        f"{folder}/cluster_modes/digits_mgd3_s0_k1.tsv",
        f"{folder}/finetune_prior/digits_minimax_0of1.tsv",
        f"{folder}/seed_increment/digits_minimax_igd_s0.tsv",
        f"{folder}/seed_increment/digits_dm_s0.tsv",
    } < set(inputs)
    assert not any("digits_igd" in path for path in inputs), "minimax_lgd starts from minimax_igd"


def test_a_sweep_draws_only_what_no_method_has(compared):
    planned = compared.planned("--", "results/digits/ablation/kappa.csv")
    methods = {method for _, method, _ in planned if method}
    assert methods == {"lgd_no_ranking", "lgd_kappa10"}, "3 candidates are lgd's own"
    assert planned["sample_candidates", "lgd_kappa10", "1"] == 1
    assert planned["ablation", "", ""] == 1


def test_report_has_all_that_was_made(compared):
    report = make_report(compared).lower()
    for text in ("Ablations", "base_model", "Guidance on another prior", "cost table", "Passes"):
        assert text.lower() in report, text
    for analysis in ANALYSES:
        assert Path(analysis).name in report, analysis


@pytest.mark.parametrize(
    "names",
    [
        pytest.param(["kappa", "omega"], id="two"),
        pytest.param(list(ABLATIONS), id="all", marks=pytest.mark.slow),
    ],
)
def test_ablations_of_the_paper_build_and_are_in_the_report(compared, names):
    small = {"ipc": [20], "learner": False, "redundancy": False}
    overrides = {"ablations": {name: ABLATIONS[name] | small for name in names}}
    run = ("--config", f"overrides={json.dumps(overrides)}")
    targets = [f"results/digits/ablation/{name}.csv" for name in names]
    compared.make(*run, "--", *targets)
    assert "Nothing to be done" in compared.make("-n", *run, "--", *targets)
    known = pd.read_csv(compared.folder / TARGETS[0]).set_index("method")["top1_mean"]
    for name, target in zip(names, targets, strict=True):
        table = pd.read_csv(compared.folder / target).query("protocol == 'hard'")
        students = 2 if name == "cross_architecture" else 1
        assert table["method"].tolist() == VARIANTS[name] * students
        assert table["top1_mean"].between(5, 100).all(), "percent, of sets that teach little"
        same = table[table["method"].isin(known.index) & (table["student"] == "ConvNet-3-w32")]
        assert same["top1_mean"].tolist() == known[same["method"]].tolist() != []
        assert (table["n"] == 2).all()
        assert table["diff_to_base"].isna().sum() == students, "the base's own"
        with Image.open((compared.folder / target).with_suffix(".png")) as picture:
            assert min(picture.size) > 300
    report = make_report(compared, run)
    for name in names:
        title = load_yaml(compared.folder / f"config/ablations/{name}.yaml")["title"]
        assert title.split(" (")[0] in report, name


def test_a_family_that_does_not_fit_the_data_is_one_line(compared):
    students = "overrides={ablations: {cross_architecture: {students: [ConvNet-6]}}}"
    target = "results/digits/ablation/cross_architecture.csv"
    done = compared.run("-n", "--config", students, "--", target)
    assert done.returncode != 0
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1
    assert "cross_architecture.yaml: students: 'ConvNet-6'" in lines[0]

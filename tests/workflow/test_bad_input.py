"""What bad input gets from the command line: one line, status 1, nothing half written."""

import shutil

import pytest
from conftest import TARGETS, write_digits


def refusal(project, *words, env=None) -> str:
    """Return the lines that Snakemake printed of its failure; no job may have started."""
    done = project.run(*words, env=env)
    assert done.returncode != 0
    output = done.stdout + done.stderr
    assert "Traceback" not in output
    assert not (project.folder / "results").exists(), "nothing is written"
    lines = [line for line in output.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, output
    return lines[0]


@pytest.mark.parametrize(
    ("config", "parts"),
    [
        ("run=3", ["config: run", "did you mean 'runs'"]),
        ("methods=[lgdd]", ["unknown method 'lgdd'", "lgd"]),
        ("overrides={methods: {lgd: {learnability: {strength: -1}}}}", ["strength", "-1"]),
        ("external={mine: nowhere}", ["external.mine.folder", "no folder nowhere"]),
        ("methods=lgd", ["config: methods: found 'lgd'", "all or a list such as [lgd]"]),
        ("runs=3.0", ["config: runs: found 3.0", "expected integer"]),
    ],
)
def test_overrides_on_the_command_line_are_checked(fresh, config, parts):
    line = refusal(fresh, "-n", "--config", config, "--", TARGETS[0])
    for part in parts:
        assert part in line


@pytest.mark.parametrize(
    ("path", "text", "parts"),
    [
        ("config/config.yaml", "\nruns: 3\nruns: 4\n", ["config.yaml", "key 'runs' twice"]),
        ("config/methods/dm.yaml", "\nseed: &a {<<: *a}\n", ["dm.yaml", "*a within &a"]),
        ("config/methods/a{b}.yaml", "extends: dit\n", ["methods/a{b}.yaml", "letters, digits"]),
        ("tiny.yaml", "\nplots: {colormap: viridiss}\n", ["plots.colormap", "'viridis'"]),
    ],
)
def test_files_are_checked(fresh, path, text, parts):
    with open(fresh.folder / path, "a") as stream:
        stream.write(text)
    line = refusal(fresh, "-n", "--", TARGETS[0])
    for part in parts:
        assert part in line


def test_text_of_files_stays_and_words_of_the_command_line_take_their_types(fresh):
    for name in ("run #2", "1e3"):
        write_digits(fresh.folder / name)
    with open(fresh.folder / "tiny.yaml", "a") as stream:
        stream.write('external: {mine: {folder: "run #2"}}\n')
    words = [
        "max_batch=8",
        "gradient_checkpointing=true",
        "external={other: {folder: 1e3, increment: 2}}",
        "overrides={datasets: {digits: {evaluation: {epochs: {10: 30}}}}}",
    ]
    targets = [f"results/external/{name}/diagnosis.csv" for name in ("mine", "other")]
    planned = fresh.planned("--config", *words, "--", *targets)
    assert planned["read_external", "", ""] == 2, "both folders were found"


def test_images_per_class_of_a_target_are_checked(fresh):
    line = refusal(fresh, "-n", "--", "results/digits_ipc25/table.csv")
    assert "25" in line
    assert "multiple of 10" in line


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("mine", ["found 10 class folders", "missing: three;", "extra: dozen)"]),
        ("other", ["config: external: unknown name 'other'", "mine"]),
    ],
)
def test_folders_to_diagnose_are_checked(fresh, name, parts):
    for folder in ["zero", "one", "two", "dozen", "four", "five", "six", "seven", "eight", "nine"]:
        (fresh.folder / "mine" / folder).mkdir(parents=True)
    external = ("--config", "external={mine: mine}")
    line = refusal(fresh, "-n", *external, "--", f"results/external/{name}/diagnosis.csv")
    for part in parts:
        assert part in line


def test_prior_of_a_target_outside_the_run_is_checked(fresh):
    shutil.rmtree(fresh.folder / "priors/fashionmnist/vae")
    line = refusal(fresh, "-n", "--", "results/fashionmnist_ipc50/table.csv")
    assert "priors/fashionmnist" in line
    assert "vae" in line


def test_quality_of_a_prior_without_held_out_images(fresh):
    changes = "overrides={datasets: {digits: {source: {validation_fraction: 0}}}}"
    target = "results/digits/prior_quality.json"
    line = refusal(fresh, "-n", "--config", changes, "--", target)
    assert "digits.yaml: source.validation_fraction: found 0" in line
    assert "prior_quality.json" in line


def test_prior_of_other_images_than_the_data_set_s(fresh):
    changes = "overrides={datasets: {digits: {prior: {source: priors/fashionmnist}}}}"
    line = refusal(fresh, "-n", "--config", changes, "--", TARGETS[0])
    assert "priors/fashionmnist/transformer/config.json: sample_size: found 7" in line
    assert "image.size of 8" in line


@pytest.mark.parametrize(
    ("folder", "parts"),
    [
        ("", ["imagenette.yaml: source.folder", "LGD_DATA unset"]),
        ("nowhere", ["LGD_DATA: no folder nowhere/train", "ILSVRC-2012"]),
        ("empty", ["LGD_DATA: empty/train: found 0 class folders", "missing: n01440764"]),
    ],
)
def test_imagenet_that_is_not_there(fresh, folder, parts):
    for part in ("train", "val"):
        (fresh.folder / "empty" / part).mkdir(parents=True)
    target = "results/imagenette_ipc20/table.csv"
    line = refusal(fresh, "-n", "--", target, env={"LGD_DATA": folder})
    for part in parts:
        assert part in line


def test_gpu_by_name_where_there_is_none(copied):
    path = "results/digits/reference/metrics.json"
    (copied.folder / path).unlink()
    env = {"CUDA_VISIBLE_DEVICES": ""}
    done = copied.run("--config", "device=cuda", "--", path, env=env)
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "error: device: found 'cuda'" in output
    assert "Traceback" not in output
    assert not (copied.folder / path).exists()


def test_broken_artifact_is_named(copied):
    learner = copied.folder / "results/digits/lgd/s0/k0/learner.safetensors"
    learner.write_bytes(learner.read_bytes()[:1000])
    done = copied.run("--", "results/digits/lgd/s0/k1/increment.safetensors")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "error: results/digits/lgd/s0/k0/learner.safetensors: found a broken" in output
    assert "Traceback" not in output


def test_class_with_too_few_images_for_the_seed(copied):
    recipe = copied.folder / "config/methods/many.yaml"
    recipe.write_text("extends: random\nipc_per_increment: 500\n")
    run = ("--config", "methods=[many]", "ipc=[500]")
    done = copied.run(*run, "--", "results/digits/many/s0/k0/increment.safetensors")
    output = done.stdout + done.stderr
    assert done.returncode != 0
    assert "error: class 0: found" in output
    assert "at least 500" in output


def test_results_that_is_no_folder(fresh):
    (fresh.folder / "results").write_text("a file")
    done = fresh.run("--", TARGETS[0])
    assert done.returncode != 0
    assert "error: results: found a file, expected a folder" in done.stderr
    assert (fresh.folder / "results").read_text() == "a file"

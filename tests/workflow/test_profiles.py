"""Profiles: about rules that exist, and what a user gets who names one."""

import re

import pytest
import yaml
from miniature import ROOT
from projects import rules_on_gpu

PROFILES = sorted((ROOT / "profiles").glob("*/config.yaml"))
REFERENCE = "results/digits/reference/metrics.json"
RULES = {
    name
    for path in (ROOT / "rules").glob("*.smk")
    for name in re.findall(r"^rule (\w+):", path.read_text(), re.M)
}
each_profile = pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.parent.name)


@each_profile
def test_rules_that_are_named_exist(path):
    profile = yaml.safe_load(path.read_text())
    for key in ("set-resources", "set-threads"):
        assert set(profile.get(key, {})) <= RULES


def read(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / name / "config.yaml").read_text())


@pytest.mark.parametrize("name", ["slurm", "kubernetes"])
def test_a_cluster_s_profile_knows_cores_of_every_gpu_rule(name):
    assert len(rules_on_gpu(ROOT)) >= 8
    assert rules_on_gpu(ROOT) <= set(read(name)["set-threads"])


def test_slurm_knows_time_and_memory_of_every_gpu_rule():
    asked = read("slurm")["set-resources"]
    for rule in rules_on_gpu(ROOT):
        assert set(asked[rule]) == {"runtime", "mem_mb"}


def first_mb(asked: dict) -> int:
    """Return the memory of a first attempt."""
    return eval(asked["mem_mb"], {"attempt": 1})


def test_pods_have_the_memory_that_slurm_gives_a_rule_or_more():
    profile = read("kubernetes")
    for rule, asked in read("slurm")["set-resources"].items():
        pod = profile["set-resources"].get(rule, profile["default-resources"])
        assert first_mb(pod) >= first_mb(asked), rule


def test_further_attempts_on_slurm_ask_for_more_within_bounds():
    """Half as much memory again, up to twice as much; at most a day, which partitions grant."""
    profile = read("slurm")
    for asked in (profile["default-resources"], *profile["set-resources"].values()):
        found = [
            [eval(str(asked[key]), {"attempt": attempt}) for attempt in range(1, 12)]
            for key in ("runtime", "mem_mb")
        ]
        for (first, *more), largest in zip(found, (1440, 2 * found[1][0]), strict=True):
            assert all(type(value) is int and first <= value <= largest for value in more)
        assert found[1][:4] == [found[1][0] * half // 2 for half in (2, 3, 4, 4)]
        assert found[0][1] == min(1440, 2 * found[0][0])


def test_a_group_on_slurm_asks_for_a_day_at_most():
    """Its rules' times are added up: PNG and learner follow the selection."""
    profile = read("slurm")
    grouped = {entry.split("=")[0] for entry in profile["groups"]}
    assert grouped == {"select_increment", "merge_increment", "train_learner"}
    for attempt in range(1, 12):
        asked = {
            rule: eval(profile["set-resources"][rule]["runtime"], {"attempt": attempt})
            for rule in grouped
        }
        first = asked.pop("select_increment")
        assert first + max(asked.values()) <= 1440


def job(output: str, rule: str) -> str:
    """Return what a dry run says of the first job of a rule."""
    return re.search(rf"^(?:local)?rule {rule}:\n(?:    .*\n)+", output, re.M)[0]


def test_h100_asks_for_the_card_on_a_machine_without_one(fresh):
    output = fresh.make("-n", "--cores", "2", "--profile", "profiles/h100", "--", REFERENCE)
    assert "profiles/h100 and workflow specific profile profiles/default" in output
    assert "gpu=1" in job(output, "train_reference")
    assert "threads: 2" in job(output, "train_reference"), "all cores of --cores 2"
    assert "gpu" not in job(output, "prepare_dataset")


def test_slurm_asks_for_time_memory_and_a_card(fresh):
    pytest.importorskip(
        "snakemake_executor_plugin_slurm", reason="needs snakemake-executor-plugin-slurm"
    )
    output = fresh.make("-n", "--profile", "profiles/slurm", "--", REFERENCE)
    for fact in ("mem_mb=16000", "runtime=480", "gpu=1"):
        assert fact in job(output, "train_reference")
    assert "gpu" not in job(output, "prepare_dataset")


def test_slurm_makes_an_increment_in_two_jobs(fresh):
    """Candidates, then their selection, PNG and learner; each increment has a group of its own."""
    pytest.importorskip(
        "snakemake_executor_plugin_slurm", reason="needs snakemake-executor-plugin-slurm"
    )
    made = [f"results/digits/lgd/s0/k2/{name}" for name in ("distilled", "learner.safetensors")]
    output = fresh.make("-n", "--profile", "profiles/slurm", "--", *made)
    groups = {
        group: re.findall(r"output: results/digits/lgd/s0/k\d/(\w+)", text)
        for group, text in re.findall(r"Group job (\S+) .*\n((?:\n|    .*\n)+)", output)
    }
    assert groups == {
        "increment_digits_lgd_s0_k0": ["learner"],
        "increment_digits_lgd_s0_k1": ["increment", "learner"],
        "increment_digits_lgd_s0_k2": ["distilled", "increment", "learner"],
    }
    assert output.count("\nrule sample_candidates:") == 2


def test_absence_of_a_gpu_is_said_once_and_only_when_jobs_run(fresh, tmp_path):
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\nexit 9\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    gpus = ("--resources", "gpu=4", "--config", "device=auto", "--")
    env = {"PATH": f"{tmp_path}:/usr/bin:/bin", "CUDA_VISIBLE_DEVICES": ""}
    notice = "device: no GPU on this machine, all jobs run on the CPU"
    assert notice not in fresh.run("-n", *gpus, REFERENCE, env=env).stderr
    done = fresh.run(*gpus, REFERENCE, env=env)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(notice) == 1
    log = fresh.folder / "results/logs/train_reference/digits.log"
    assert "device: cpu" in log.read_text()

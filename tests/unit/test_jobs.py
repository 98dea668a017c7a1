"""What scripts share: checkpoints that belong to one job and one way to compute, errors, stamps."""

import contextlib
import hashlib
import json
import os
import re
import runpy
import subprocess
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import CLASS_NAMES, SEEN, SPEC
from pydantic import ValidationError

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.base.files import write_json
from lgd_core.base.owners import Owner
from lgd_core.base.processes import host
from lgd_core.config.settings import SeenImages, StoredImages, TrainingSettings
from lgd_core.evaluation.students import cross_accuracies
from lgd_core.networks.classifiers import build_network, save_network
from lgd_core.networks.training import Images

SCRIPTS = Path(__file__).parents[2] / "workflow_scripts"
CONFIG = {
    "device": "cpu",
    "precision": "auto",
    "checkpoint_seconds": 0,
    "checkpoint_folder": "results/.resume",
    "max_batch": 64,
    "compile": False,
    "gradient_checkpointing": False,
}


class Files(list):
    """Files of a job by position and by name, as Snakemake hands them over."""

    def __init__(self, *positional: str, **named: str) -> None:
        super().__init__([*positional, *named.values()])
        vars(self).update(named)

    def get(self, name: str, default: object = None) -> object:
        return vars(self).get(name, default)


@pytest.fixture
def snakemake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Return a function that makes what a script gets from Snakemake, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(SCRIPTS)

    def make(rule: str = "any", settings: dict | None = None, **parts: object) -> SimpleNamespace:
        known = {"stage": rule} | (settings or {})
        defaults = {
            "wildcards": {"dataset": "digits", "k": "1"},
            "input": Files(),
            "output": Files(),
            "config": CONFIG | parts.pop("config", {}),
        }
        return SimpleNamespace(
            rule=f"their_{rule}",
            threads=1,
            log=[tmp_path / "log"],
            params=SimpleNamespace(settings=known, source={"kind": "digits"}),
            **defaults | parts,
        )

    return make


def resume_folder(job: SimpleNamespace) -> Path:
    from job import Job

    return Job(job).checkpoint.folder


def test_a_job_goes_on_only_where_it_is_computed_as_before(
    snakemake: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    single = resume_folder(snakemake(config={"precision": "fp32"}))
    assert resume_folder(snakemake()) == single, "auto is single precision on a CPU"
    half = resume_folder(snakemake(config={"precision": "bf16"}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda *_: (9, 0))
    on_gpu = [
        resume_folder(snakemake(config={"device": "auto", "precision": precision}))
        for precision in ("fp32", "auto", "bf16")
    ]
    assert len({single, half, *on_gpu}) == 4
    assert on_gpu[1] == on_gpu[2], "auto is half precision on a GPU"


@pytest.mark.parametrize("package", ["torch", "diffusers", "numpy"])
def test_a_job_does_not_go_on_with_another_version(
    snakemake: Callable, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lgd_core.base import provenance

    before, known = resume_folder(snakemake()), provenance.version
    monkeypatch.setattr(provenance, "version", lambda p: "0.0" if p == package else known(p))
    assert resume_folder(snakemake()) != before


def test_a_finished_job_leaves_no_checkpoint_of_edited_values(snakemake: Callable) -> None:
    from job import running

    def killed() -> None:
        with running(snakemake(settings={"lr": 0.1})) as job:
            job.checkpoint.save("a", {"step": 1})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        killed()
    with running(snakemake(wildcards={"dataset": "digits", "k": "2"})) as other:
        other.checkpoint.save("a", {"step": 1})
        with running(snakemake(settings={"lr": 0.2})) as job:
            assert job.checkpoint.load("a") is None
        assert [path.name for path in Path("results/.resume").rglob("*.pt")] == ["a.pt"]
        assert other.checkpoint.load("a") == {"step": 1}, "other jobs keep theirs"
    assert not list(Path("results/.resume").rglob("*.pt"))


def test_a_job_does_not_start_while_another_is_at_work_for_the_same_result(
    snakemake: Callable, tmp_path: Path
) -> None:
    """As one that outlived a killed Snakemake; its log and its checkpoints stay."""
    from job import running

    with running(snakemake(settings={"lr": 0.1})) as job:
        job.checkpoint.save("a", {"step": 1})
        job.log("half way")
        with pytest.raises(SystemExit) as ended, running(snakemake(settings={"lr": 0.2})):
            pytest.fail("two jobs at work")
        assert job.checkpoint.load("a") == {"step": 1}
    folder = "results/.resume/any,dataset=digits,k=1"
    line = f"error: {folder}: found another job at work in it (process {os.getpid()} on "
    assert ended.value.code.startswith(line)
    lines = (tmp_path / "log").read_text().splitlines()
    assert lines[-2] == ended.value.code
    assert lines[-3].endswith(" half way")
    assert lines[-1].endswith(" done")


def test_further_attempts_of_a_call_end_with_the_user_s_error(
    snakemake: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A crash is tried again, and so is everything in the next call, where all may be mended."""
    from job import running

    def attempt(error: Exception | None) -> bool:
        """Whether the body has run."""
        begun = False
        with (
            contextlib.suppress(SystemExit, ZeroDivisionError),
            running(snakemake(settings={"lr": 0.1})) as job,
        ):
            begun = True
            job.checkpoint.save("a", {"step": 1})
            if error:
                raise error
        return begun

    monkeypatch.setenv("LGD_CALL", "first")
    assert attempt(ZeroDivisionError())
    assert attempt(UserError("a.npy: found 3 rows, expected 4"))
    assert not attempt(None)
    line = "error: a.npy: found 3 rows, expected 4"
    assert (tmp_path / "log").read_text().splitlines()[-2:] == [line, line]
    assert list(Path("results/.resume").rglob("*.pt")), "checkpoints stay"
    monkeypatch.setenv("LGD_CALL", "second")
    assert attempt(None)
    assert not list(Path("results/.resume").iterdir())


def test_a_job_says_that_the_one_before_it_was_killed(snakemake: Callable, tmp_path: Path) -> None:
    from job import Job, running

    ended = subprocess.Popen(["true"])
    ended.wait()
    folder = Job(snakemake()).checkpoints
    owner = Owner(host(), ended.pid, 1, "", 0)
    (folder / "owner").mkdir(parents=True)
    (folder / "owner/one.json").write_text(json.dumps(asdict(owner)))
    (tmp_path / "log").write_text("of the job before")
    with running(snakemake()):
        pass
    first = (tmp_path / "log").read_text().splitlines()[0]
    assert first.endswith(f"{folder}: taken over, its job has ended ({owner})")
    assert not folder.exists()


def test_checkpoints_lie_where_the_configuration_says(
    snakemake: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under the stage's name, whatever the rule is called."""
    from job import Job

    monkeypatch.setenv("VOLUME", str(tmp_path / "volume"))
    job = Job(snakemake("evaluate", config={"checkpoint_folder": "$VOLUME/kept"}))
    assert job.snakemake.rule != "evaluate"
    assert job.checkpoints == tmp_path / "volume/kept/evaluate,dataset=digits,k=1"


def test_inputs_in_object_storage_are_found_by_their_names(snakemake: Callable) -> None:
    """Also a trained prior's folder, which is no part of the fingerprint: its record has it."""
    from job import Job

    Path("storage/results/prior").mkdir(parents=True)
    Path("storage/results/prior.json").write_text("{}")
    named = {"prior": "storage/results/prior.json"}
    folder = "storage/results/prior"
    known = Job(snakemake(input=Files(**named, stored=folder)))
    without = Job(snakemake(input=Files(**named)))
    assert known.place_of("results/prior") == folder
    assert known.place_of("owner/prior") == "owner/prior"
    Path(folder, "weights").write_text("any")
    assert known.fingerprint == without.fingerprint


def test_stages_have_the_names_of_their_rules() -> None:
    """The name is part of fingerprints; where two rules share a stage, their scripts name them."""
    rules = SCRIPTS.parent / "rules"
    functions = "".join(path.read_text() for path in (rules / "common").glob("*.smk"))
    first_stage = r'^def (\w+)\((?:(?!^def ).)*?stage\(\s*"(\w+)"'
    makers = dict(re.findall(first_stage, functions, re.M | re.S))
    blocks = "".join(path.read_text() for path in rules.glob("*.smk"))
    for block in re.split(r"^(?=(?:use )?rule )", blocks, flags=re.M)[1:]:
        rule = re.match(r"(?:use rule \w+ as|rule) (\w+)", block)[1]
        settings = re.search(r"settings=(?:lambda \w+: )?(\w+)(?:\(\s*\"(\w+)\")?", block)
        if settings is None:
            assert rule in ("all", "analyses", "figure")
            continue
        stage = settings[2] or makers[settings[1]]
        script = SCRIPTS / f"{rule}.py"
        named = script.exists() and f'running(snakemake, "{rule}")' in script.read_text()
        assert named or stage == rule


def test_a_job_s_folder_lies_in_no_other_s(snakemake: Callable) -> None:
    from job import Job

    folders = [
        Job(snakemake(wildcards={"dataset": "digits", "name": name})).checkpoints
        for name in ("", "/mine")
    ]
    assert folders[0].parent == folders[1].parent


def test_a_file_that_a_job_cannot_read_is_one_line(snakemake: Callable) -> None:
    from job import running

    def body() -> None:
        with running(snakemake()):
            Path("nowhere.txt").read_text()

    with pytest.raises(SystemExit) as ended:
        body()
    assert ended.value.code == "error: nowhere.txt: No such file or directory; run again"


def test_a_stamp_says_device_and_precision(snakemake: Callable) -> None:
    from job import Job

    stamp = Job(snakemake()).stamp()
    assert stamp["device"] == "cpu"
    assert stamp["precision"] == {"networks": "fp32"}


def write_prior_facts(path: Path, folder: Path) -> None:
    from job import prior_contents

    folders = {"pipeline": str(folder)}
    contents = prior_contents(folders)
    write_json(path, {"folders": folders, "frequency_shift": None, "contents": contents})


def test_a_prior_with_a_flipped_bit_is_not_used(
    snakemake: Callable, broken_folder: Path, tmp_path: Path
) -> None:
    from job import Job, open_prior

    write_prior_facts(tmp_path / "prior.json", broken_folder)
    job = Job(snakemake(input=Files(prior=str(tmp_path / "prior.json"))))
    (broken_folder / "README.md").write_text("a note is no part of it")
    assert open_prior(job).classes == 3
    assert job.stamp()["precision"] == {"networks": "fp32", "prior": "fp32"}
    weights = next((broken_folder / "vae").glob("*.safetensors"))
    contents = bytearray(weights.read_bytes())
    contents[-2] ^= 1
    weights.write_bytes(contents)
    with pytest.raises(UserError, match="found other files than"):
        open_prior(job)


@pytest.fixture
def assessment(
    snakemake: Callable, fixed_folder: Path, tmp_path: Path
) -> Callable[[], list[bytes]]:
    """Return a function that runs the assessment of a prior at scales 1 and 4: what it writes."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 100), ("validation", 10)):
        images = rng.integers(0, 256, (3 * count, 3, 16, 16), np.uint8)
        np.save(tmp_path / f"{split}_images.npy", images)
        np.save(tmp_path / f"{split}_labels.npy", np.arange(3).repeat(count))
    arrays = sorted(tmp_path.glob("*.npy"))
    sums = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in arrays}
    write_json(tmp_path / "prepared.json", {"files": sums})
    save_network(tmp_path / "r.safetensors", build_network(SPEC, "reference"), SPEC, {})
    write_prior_facts(tmp_path / "prior.json", fixed_folder)
    settings = {
        "prior_labels": None,
        "sampler": {"steps": 2, "cfg_scale": 4.0, "cfg_channels": None, "classes_per_batch": None},
        "network": SEEN.model_dump(),
        "names": CLASS_NAMES,
    }
    named = {"reference": str(tmp_path / "r.safetensors"), "prior": str(tmp_path / "prior.json")}
    output = Files(metrics=str(tmp_path / "m.json"), grid=str(tmp_path / "g.png"))
    job = snakemake(
        "assess_prior", settings, input=Files(*map(str, arrays), **named), output=output
    )

    def run() -> list[bytes]:
        runpy.run_path(str(SCRIPTS / "assess_prior.py"), {"snakemake": job})
        return [Path(path).read_bytes() for path in output]

    return run


def test_an_assessment_killed_at_its_second_scale_ends_as_an_undisturbed_one(
    assessment: Callable[[], list[bytes]], interrupt_after: Callable[[int], None]
) -> None:
    expected = assessment()
    interrupt_after(7)
    with pytest.raises(KeyboardInterrupt):
        assessment()
    assert assessment() == expected


def test_settings_are_read_as_models(snakemake: Callable) -> None:
    from job import Job

    stored = {"classes": SEEN.classes, "image": {"size": 16, "channels": 3}}
    job = Job(snakemake(settings=stored | {"stage": "any", "network": SEEN.model_dump()}))
    assert job.read("network", SeenImages) == SEEN
    assert job.pick(StoredImages) == StoredImages.model_validate(stored)
    with pytest.raises(ValidationError, match="normalise"):
        job.read("network", StoredImages)


def test_a_network_that_is_done_keeps_no_checkpoint(bright: Images, tmp_path: Path) -> None:
    recipe = TrainingSettings(
        epochs=2, evaluations=1, batch=12, lr=0.01, weight_decay=0.0, cutmix=False
    )
    cross_accuracies(SPEC, [bright, bright], recipe, ("key",), Checkpoint(tmp_path, 0))
    assert len(list(tmp_path.rglob("*.pt"))) == 1, "the results alone"

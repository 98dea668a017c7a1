"""Results in object storage: what jobs read and write, checkpoints that outlive a folder, pods.

The storage is a server on this machine that speaks S3.
"""

import json
import logging
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, kill, new_project, start, wait_for
from miniature import ROOT

SERVER = pytest.importorskip("moto.server", reason="needs moto[server]")
BUCKET, PREFIX = "lgd", "run"
STORED = ("--default-storage-provider", "s3", "--default-storage-prefix", f"s3://{BUCKET}/{PREFIX}")
PRIOR = "results/digits/prior"


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # it tells of every request
    server = SERVER.ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(address, monkeypatch) -> Any:
    """A bucket without contents, which Snakemake finds by its variables."""
    import boto3

    known = {"ACCESS_KEY": "any", "SECRET_KEY": "any", "ENDPOINT_URL": address}
    for name, value in known.items():
        monkeypatch.setenv(f"SNAKEMAKE_STORAGE_S3_{name}", value)
    keys = {"aws_access_key_id": "any", "aws_secret_access_key": "any"}
    client = boto3.resource("s3", endpoint_url=address, region_name="us-east-1", **keys)
    bucket = client.create_bucket(Bucket=BUCKET)
    yield bucket
    bucket.objects.all().delete()


def upload(project: Project, bucket: Any, *patterns: str) -> None:
    """Put results of a project into the bucket, the oldest first."""
    found = [path for pattern in patterns for path in project.folder.glob(pattern)]
    for path in sorted(filter(Path.is_file, found), key=lambda path: path.stat().st_mtime):
        bucket.upload_file(str(path), f"{PREFIX}/{path.relative_to(project.folder)}")


def contents(bucket: Any, name: str) -> bytes:
    return bucket.Object(f"{PREFIX}/{name}").get()["Body"].read()


def stored(folder: Path) -> Project:
    project = new_project(folder)
    project.options += STORED
    return project


def test_a_killed_job_goes_on_in_another_folder(finished, bucket, tmp_path):
    """Its checkpoint lies on a volume, its inputs in the storage; what follows finds the prior."""
    known = (
        "results/digits/data/**/*",
        "results/digits/reference/*",
        "results/benchmarks/*/digits.tsv",
    )
    upload(finished, bucket, *known)
    one, other = stored(tmp_path / "one"), stored(tmp_path / "other")
    kept = ("--config", f"checkpoint_folder={tmp_path / 'volume'}", "checkpoint_seconds=0.1", "--")
    process = start(one, *kept, f"{PRIOR}.json")
    wait_for(one, "../volume/train_prior,*/*/transformer.pt", process)
    kill(process)
    shutil.rmtree(one.folder)
    other.make(*kept, "results/digits/latents.json")
    log = contents(bucket, "results/logs/train_prior/digits.log").decode()
    steps = [int(step) for step in re.findall(r"transformer: .*\| (\d+)/200", log)]
    assert steps[0] > 0, "goes on from the steps that were kept"
    assert steps[-1] == 200
    assert not list((tmp_path / "volume").iterdir()), "cleared"
    for name in (f"{PRIOR}.json", f"{PRIOR}/transformer/config.json", f"{PRIOR}_source.json"):
        assert contents(bucket, name) == (finished.folder / name).read_bytes()
    assert "Nothing to be done" in other.make("-n", *kept, "results/digits/latents.json")


def test_tables_figures_and_pages_are_those_of_a_run_without_storage(finished, bucket, tmp_path):
    """They read folders and the times of other jobs, and tell methods by their paths."""
    upload(finished, bucket, "results/digits/**/*", "results/benchmarks/**/*")
    project = stored(tmp_path / "project")
    names = [
        "table.csv",
        "table.json",
        "table.html",
        "samples.png",
        "samples/3_three.png",
        "gallery.html",
    ]
    files = [f"results/digits_ipc20/{name}" for name in names]
    cost = "results/digits_ipc20/cost.csv"
    # With the page of the table and the redundancy, which the gallery opens with.
    assert "[7/7]" in project.make("--", *files, cost), "what lies in the storage is not made again"
    for name in files:
        assert contents(bucket, name) == (finished.folder / name).read_bytes(), name
    assert "train_prior" in contents(bucket, cost).decode()


def test_pods_are_those_of_the_golden_file(bucket, tmp_path):
    """One job on a GPU, whose inputs are there, and one without, as the plugin submits them."""
    pytest.importorskip(
        "snakemake_executor_plugin_kubernetes", reason="needs snakemake-executor-plugin-kubernetes"
    )
    for name in ("train_images.npy", "train_labels.npy", "test_images.npy", "test_labels.npy"):
        bucket.Object(f"{PREFIX}/results/digits/data/{name}").put(Body=b"any")
    bucket.Object(f"{PREFIX}/results/digits/data/prepared.json").put(Body=b"any")
    project, file = new_project(tmp_path / "project"), tmp_path / "submitted.json"
    driver = [sys.executable, str(Path(__file__).with_name("pods.py")), str(file)]
    words = ["--profile", "profiles/kubernetes", *STORED, "--retries", "0", "--"]
    targets = ["results/digits/reference/metrics.json", "results/fashionmnist/data/source.json"]
    done = subprocess.run(
        [*driver, *words, *targets], cwd=project.folder, capture_output=True, text=True
    )
    submitted = json.loads(file.read_text())
    assert len(submitted["jobs"]) == 2, done.stderr
    (secret,) = submitted["secrets"]
    by_rule = {}
    for job in submitted["jobs"]:
        job["metadata"]["name"] = "JOB"
        (container,) = job["spec"]["template"]["spec"]["containers"]
        command = container.pop("args")[1]
        assert "--config device=cuda checkpoint_folder=/lgd/checkpoints" in command.replace("'", "")
        for variable in container["env"]:
            key = variable["valueFrom"]["secretKeyRef"]
            assert key["name"] == secret["metadata"]["name"]
            assert key["key"] in secret["data"]
            key["name"] = "SECRET"
        by_rule[re.search(r"--allowed-rules (\w+)", command)[1]] = job
    assert by_rule == json.loads((ROOT / "tests/golden/pods.json").read_text())

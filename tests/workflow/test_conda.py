"""``--sdm conda`` with a stand-in for the program conda, which installs nothing.

Its environments have the packages of the tests without the product itself, as environment.yml.
That the file's versions are those of the lock is tested elsewhere; conda itself is not.
"""

import os
import site
import subprocess
import sys
from pathlib import Path

import projects
import pytest
from miniature import ROOT

CONDA = """#!/bin/sh
for last; do :; done
case "$*" in
  --version) echo "conda 25.1.1" ;;
  "info --json") echo '{"conda_prefix": "BASE", "platform": "linux-64"}' ;;
  "config --get channel_priority --json") echo '{"get": {"channel_priority": "strict"}}' ;;
  "clean "*) ;;
  "env create "*) cp -R BASE/environment "$last" ;;
  *) echo "unknown: $*" >&2; exit 2 ;;
esac
"""
ACTIVATE = 'PATH="$1/bin:$PATH"\n'
# Processes of the environment say so.
HOOK = "import sys; print(sys.prefix, file=open('{used}', 'a'))\n"


@pytest.fixture
def base(tmp_path) -> Path:
    """A folder with the program, and with what it copies when it is to create an environment."""
    base = tmp_path / "conda"
    (base / "bin").mkdir(parents=True)
    (base / "bin" / "activate").write_text(ACTIVATE)
    program = base / "bin" / "conda"
    program.write_text(CONDA.replace("BASE", str(base)))
    program.chmod(0o755)
    made = base / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", made], check=True)
    (packages,) = made.glob("lib/python*/site-packages")
    lines = [HOOK.format(used=base / "used"), *(f"{path}\n" for path in site.getsitepackages())]
    (packages / "tests.pth").write_text("".join(lines))
    return base


@pytest.fixture
def with_conda(importing, base) -> projects.Project:
    """A workflow that imports the product, whose jobs are processes in conda's environments."""
    path = os.pathsep.join([str(base / "bin"), os.environ["PATH"]])
    return projects.Project(
        importing.folder, (*importing.options, "--sdm", "conda"), {"PATH": path}
    )


def test_jobs_run_in_an_environment_made_of_the_project_s_file(with_conda, base):
    with_conda.make("--", "results/digits/reference/metrics.json")
    (made,) = (with_conda.folder / ".snakemake" / "conda").glob("*.yaml")
    assert made.read_bytes() == (ROOT / "environment.yml").read_bytes()
    used = (base / "used").read_text().split()
    assert set(used) == {str(made.with_suffix(""))}
    assert len(used) >= 3, "data, digits, reference"

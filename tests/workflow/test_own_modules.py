"""A new guidance and a new protocol, added to the product with the text that its pages give."""

import re
import shutil

import pytest
import torch
from conftest import TARGETS, Project, copy_of
from miniature import ROOT

from lgd_core.base.files import read_json
from lgd_core.base.tensors import load_tensors

INCREMENT = "results/digits/{}/s0/k1/increment.safetensors"
RECIPE = "config/methods/brighter.yaml"


def blocks(page: str, title: str) -> list[str]:
    """Return the code of a page's section, block by block."""
    section = (ROOT / page).read_text().split(f"## {title}\n")[1].split("\n## ")[0]
    return re.findall(r"```\w+\n(.*?)```", section, re.DOTALL)


@pytest.fixture(scope="module")
def extended(finished, tmp_path_factory) -> Project:
    """A finished project with a copy of the library, and what the pages add to both."""
    project = copy_of(finished, tmp_path_factory.mktemp("extended") / "project")
    shutil.copytree(ROOT / "lgd_core", project.folder / "lgd_core")
    module, recipe = blocks("docs/extending.md", "A method of your own")
    (project.folder / "lgd_core/distill/guidances/brightness.py").write_text(module)
    (project.folder / RECIPE).write_text(recipe)
    (protocol,) = blocks("docs/extending.md", "An evaluation protocol")
    (project.folder / "config/protocols/brief.yaml").write_text(protocol)
    return project


@pytest.fixture(autouse=True)
def own_library(extended, monkeypatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(extended.folder))


def test_a_new_key_repeats_nothing_of_other_methods(extended):
    assert "Nothing to be done" in extended.make("-n", "--", *TARGETS)


def test_the_guidance_acts_and_an_edit_of_its_key_draws_anew(extended):
    ours = INCREMENT.format("brighter")
    extended.make("--", ours)
    brighter, plain = (
        load_tensors(extended.folder / INCREMENT.format(name))[0] for name in ("brighter", "dit")
    )
    assert not torch.equal(brighter["images"], plain["images"])
    assert brighter["latents"].mean() > plain["latents"].mean()
    assert "Nothing to be done" in extended.make("-n", "--", ours)
    extended.replace(RECIPE, "strength: 0.1", "strength: 0.2")
    planned = extended.planned("--", ours)
    extended.replace(RECIPE, "strength: 0.2", "strength: 0.1")
    assert set(planned) == {
        (rule, "brighter", "1") for rule in ("sample_candidates", "select_increment")
    }


def test_its_window_must_fit_the_steps(extended):
    extended.replace(RECIPE, "[2, 8]", "[30, 20]")
    done = extended.run("-n", "--", INCREMENT.format("brighter"))
    extended.replace(RECIPE, "[30, 20]", "[2, 8]")
    assert done.returncode != 0
    assert "Traceback" not in done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("error:")]
    assert "'brighter'" in line
    assert "window: found [30, 20]" in line


def test_a_protocol_has_results_of_its_own(extended):
    ours = "results/digits/random/s0/k1/evaluate/{}/ConvNet-3-w32/r0.json"
    kept, brief = (extended.folder / ours.format("hard")).read_bytes(), ours.format("brief")
    assert set(extended.planned("--", brief)) == {("evaluate", "random", "1")}
    extended.make("--", brief)
    stamp = read_json(extended.folder / brief)
    assert (stamp["protocol"], stamp["recipe"]["evaluation"]["steps"]) == ("brief", 10)
    assert (extended.folder / ours.format("hard")).read_bytes() == kept
    refused = extended.run("-n", "--config", "protocols=[breif]")
    assert "unknown protocol 'breif'" in refused.stderr
    assert "did you mean 'brief'?" in refused.stderr

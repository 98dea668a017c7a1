"""A small decoder in the gradients of guidance: trained, found, used, and what reruns."""

import json

import pytest
from conftest import Project, copy_of

from lgd_core.base.tensors import load_tensors

RECIPE = """
      prior:
        small_decoder: {train: {blocks: [1, 0], steps: 30, batch: 16}}
"""
CANDIDATES = "results/digits/lgd/s0/k1/candidates/0of1.safetensors"


@pytest.fixture
def guided(finished: Project, tmp_path) -> Project:
    """The finished project, with a small decoder that lgd is guided through."""
    project = copy_of(finished, tmp_path / "project")
    project.replace("tiny.yaml", "\n      prior:\n", RECIPE)
    path = project.folder / "config/methods/lgd.yaml"
    path.write_text(path.read_text() + "guidance: {decoder: small}\n")
    return project


def test_guidance_through_a_small_decoder_that_is_trained(
    finished: Project, guided: Project
) -> None:
    jobs = guided.planned("--", CANDIDATES)
    assert {name for name, _, _ in jobs} == {
        "train_small_decoder",
        "fetch_small_decoder",
        "sample_candidates",
    }, "neither the prior nor increment 0 is made again"
    guided.make("--", CANDIDATES)
    before, after = (load_tensors(each.folder / CANDIDATES) for each in (finished, guided))
    assert not before[0]["latents"].equal(after[0]["latents"])
    assert after[1]["recipe"]["method"]["keys"]["guiding"] == {"decoder": "small", "every": 1}
    facts = json.loads((guided.folder / "results/digits/small_decoder.json").read_text())
    assert after[1]["prior"]["small_decoder"]["contents"] == facts["contents"]
    assert not guided.planned("--", CANDIDATES)


def test_a_small_decoder_that_was_changed_is_refused(guided: Project) -> None:
    guided.make("--", "results/digits/small_decoder.json")
    config = guided.folder / "results/digits/small_decoder/config.json"
    config.write_text(config.read_text() + " ")
    done = guided.run("--rerun-triggers", "params", "--", CANDIDATES)
    assert done.returncode != 0
    assert "small_decoder: found other files than those recorded in results/digits" in (
        done.stdout + done.stderr
    )


def test_blocks_that_do_not_fit_are_refused_before_any_job(guided: Project) -> None:
    guided.replace("tiny.yaml", "blocks: [1, 0]", "blocks: [1, 0, 0]")
    done = guided.run("-n", "--", CANDIDATES)
    assert done.returncode != 0
    assert (
        "prior.small_decoder.train.blocks: found [1, 0, 0], expected 2 numbers, one per width"
    ) in done.stdout + done.stderr

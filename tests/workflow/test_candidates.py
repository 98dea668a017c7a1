"""Methods beyond the paper, on digits from end to end."""

import numpy as np
import pytest
import torch
from conftest import copy_of

from lgd_core.base.tensors import load_tensors

METHODS = ["lgd_real", "lgd_noised", "lgd_mixed", "ot", "lgd_ot", "entropy", "cgs", "dit_s3"]
METHODS += ["dit_confident", "minimax_sparse", "minimax_sparse_cgs", "mgd3_weighted"]
RUN = ("--config", f"methods=[{','.join(METHODS)}]")
# Increment 0 is made only where it is asked for, or a later one needs it.
WANTED = [
    f"results/digits/{method}/s0/k{k}/increment.safetensors" for method in METHODS for k in (0, 1)
]


@pytest.fixture(scope="module")
def made(finished, tmp_path_factory):
    """The finished project with two increments of each of these methods; not to be changed."""
    project = copy_of(finished, tmp_path_factory.mktemp("candidates") / "project")
    project.make(*RUN, "--", *WANTED)
    return project


def increment(project, method: str, k: int) -> dict:
    path = f"results/digits/{method}/s0/k{k}/increment.safetensors"
    return load_tensors(project.folder / path)[0]


def real_share(project, method: str, k: int) -> float:
    """Return the share of an increment's images that are training images."""
    images = np.load(project.folder / "results/digits/data/originals_images.npy")
    known = {image.tobytes() for image in images}
    found = [image.numpy().tobytes() in known for image in increment(project, method, k)["images"]]
    return float(np.mean(found))


def test_all_draw_other_images_and_nothing_is_made_twice(made):
    drawn = [increment(made, method, 1)["images"].numpy().tobytes() for method in METHODS]
    assert len(set(drawn)) == len(METHODS)
    assert not made.planned(*RUN, "--", *WANTED)


def test_which_images_are_real(made):
    assert real_share(made, "lgd_real", 1) == 1
    assert real_share(made, "lgd_noised", 1) == 0
    chosen = increment(made, "lgd_mixed", 1)["candidates"]
    assert real_share(made, "lgd_mixed", 1) == pytest.approx(float((chosen >= 3).float().mean()))
    for method in METHODS[:3]:
        assert real_share(made, method, 0) == 1, "the seed is random real images"


def test_images_weigh_as_much_as_the_clusters_they_stand_for(made):
    for k in (0, 1):
        weights = increment(made, "mgd3_weighted", k)["weights"].unflatten(0, (10, 10))
        modes = load_tensors(
            made.folder / f"results/digits/mgd3_weighted/s0/k{k}/modes.safetensors"
        )[0]
        sizes = modes["sizes"].float()
        torch.testing.assert_close(weights, sizes / sizes.mean(1, keepdim=True))
        assert "weights" not in increment(made, "cgs", k)


def test_no_training_image_is_twice_in_a_set(made):
    images = [increment(made, "lgd_real", k)["images"].flatten(1).numpy() for k in (0, 1)]
    rows = {row.tobytes() for part in images for row in part}
    # Digits have a few images that are the same to the pixel.
    assert len(rows) >= 195

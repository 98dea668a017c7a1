"""Numbers that are infinite or no numbers stop a job with a line that says what to try."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from conftest import CPU
from safetensors.torch import load_file, save_file
from test_condensation import condenser, start
from test_drawing import spec, with_memory
from test_minimax import RECIPE
from test_prior_training import TRANSFORMER
from test_training import STUDENT, student
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.errors import UserError
from lgd_core.config.models.method import LearnerConfig
from lgd_core.diffusion.finetuning import PhaseClasses, tune_prior
from lgd_core.diffusion.prior_training import train_transformer
from lgd_core.diffusion.priors import Prior, load_prior, to_uint8
from lgd_core.distill.artifacts import Scorer
from lgd_core.distill.condensation import condense
from lgd_core.distill.drawing import draw
from lgd_core.networks.learner import train_to_plateau
from lgd_core.networks.training import Images, train_to_length

NOWHERE = Checkpoint(None)
BAD = pytest.mark.parametrize("value", [math.nan, math.inf])


def complaint(work: Callable[[], object]) -> str:
    with pytest.raises(UserError) as error:
        work()
    text = str(error.value)
    assert "\n" not in text
    assert "expected finite ones; try " in text
    return text


@BAD
@pytest.mark.parametrize("part", ["transformer", "vae"])
def test_weights_are_named_with_their_component(
    broken_folder: Path, part: str, value: float
) -> None:
    (path,) = (broken_folder / part).glob("*.safetensors")
    weights = load_file(path)
    name = sorted(weights)[1]
    weights[name].flatten()[0] = value
    save_file(weights, path, {"format": "pt"})
    text = complaint(lambda: load_prior(str(broken_folder), CPU))
    assert text.startswith(f"{broken_folder / part}: {name}: found ")


@BAD
def test_a_pixel_is_not_stored(value: float) -> None:
    images = torch.full((2, 3, 4, 4), 0.5)
    images[1, 2, 3, 3] = value
    assert "precision: fp32" in complaint(lambda: to_uint8(images))


@BAD
def test_latents_are_not_stored_as_images(fixed_prior: Prior, value: float) -> None:
    latents = torch.zeros(2, *fixed_prior.latent_shape)
    latents[1, 0, 3, 3] = value
    assert "drawn images" in complaint(lambda: fixed_prior.decode_images(latents))


def test_candidates_are_not_chosen_by_such_scores(fixed_prior: Prior, scorer: Scorer) -> None:
    class Undecided(Scorer):
        def __call__(self, images: Tensor, labels: Tensor) -> Tensor:
            return super().__call__(images, labels).where(labels != 1, math.nan)

    parts = [getattr(scorer, field.name) for field in dataclasses.fields(scorer)]
    plain = spec(learnability={"strength": 0.0})
    work = lambda scorer: draw(fixed_prior, with_memory(scorer), plain, NOWHERE)[0]["scores"]  # noqa: E731
    assert "scores of candidates" in complaint(lambda: work(Undecided(*parts)))
    assert work(None).isnan().all(), "without a scorer there are no scores"


def test_students_and_learners_stop(bright: Images, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path, interval=0)
    recipe = STUDENT.model_copy(update={"lr": math.inf})
    text = complaint(
        lambda: train_to_length(student(), bright, bright, recipe, ("key",), checkpoint, "student")
    )
    assert text.startswith("loss of training: ")
    assert checkpoint.load("student") is None, "nothing to go on from is kept"
    learner = LearnerConfig(batch=10, max_epochs=3).model_copy(update={"lr": math.inf})
    complaint(lambda: train_to_plateau(student(), bright, None, learner, ("key",), NOWHERE))


def test_training_and_tuning_of_priors_stop(bright: Images, fixed_folder: Path) -> None:
    prior = load_prior(str(fixed_folder), CPU)
    rate = {"lr": math.inf, "steps": 3}
    data = (bright.images, bright.labels)
    recipe, phase = RECIPE.model_copy(update=rate), PhaseClasses(0, [0, 1, 2], [0, 1, 2])
    text = complaint(lambda: tune_prior(prior, *data, phase, 0.5, recipe, NOWHERE))
    assert text.startswith("finetune: loss of step 1: ")
    rest = (3, TRANSFORMER.model_copy(update=rate), 0, NOWHERE, CPU)
    text = complaint(lambda: train_transformer(prior.autoencoder, *data, *rest))
    assert text.startswith("transformer: loss of step ")


def test_condensation_stops(bright: Images) -> None:
    whole = condenser(bright, "distribution")
    broken = replace(whole, recipe=whole.recipe.model_copy(update={"lr": math.inf}))
    text = complaint(lambda: condense(broken, start(), NOWHERE))
    assert "condensation.lr" in text

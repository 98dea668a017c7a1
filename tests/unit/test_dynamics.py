"""How a network learns every image: scores against plain counting, and resumption."""

import dataclasses
from pathlib import Path

import pytest
import torch
from conftest import CPU, SEEN, SPEC
from torch import Tensor

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.config.settings import DynamicsSettings, TrainingSettings
from lgd_core.networks import dynamics as module
from lgd_core.networks.dynamics import SCORES, Dynamics, watch_training
from lgd_core.networks.training import Images, preprocessor

RECIPE = DynamicsSettings(
    architecture=SPEC.name,
    seed=0,
    networks=2,
    early=2,
    training=TrainingSettings(
        epochs=4, batch=8, lr=3e-3, weight_decay=0.01, cutmix=False, evaluations=None
    ),
)


@pytest.fixture
def data() -> Images:
    rng = torch.Generator().manual_seed(1)
    images = torch.randint(256, (24, 3, 16, 16), generator=rng).to(torch.uint8)
    return Images(images, torch.arange(24) % 3, preprocessor(SEEN), SEEN.augment)


def noted(predictions: list[list[float]], early: int = 10) -> dict[str, Tensor]:
    """Return the scores of one image of class 0 that is seen with these logits in turn."""
    dynamics = Dynamics(3, early, CPU)
    for logits in predictions:
        dynamics.note(torch.tensor([1]), torch.tensor([logits]), torch.tensor([0]))
    return {name: score[1] for name, score in dynamics.scores().items()}


def test_forgetting_counts_right_predictions_that_are_followed_by_wrong_ones() -> None:
    right, wrong = [1.0, 0.0, 0.0], [0.0, 2.0, 0.0]
    assert noted([right, right, right])["forgetting"] == 0
    assert noted([wrong, wrong, right])["forgetting"] == 0
    assert noted([right, wrong, wrong, right, wrong])["forgetting"] == 2


def test_what_was_never_right_is_forgotten_every_time() -> None:
    wrong = [0.0, 2.0, 0.0]
    assert noted([wrong] * 5)["forgetting"] == 5
    assert noted([[1.0, 1.0, 0.0]])["forgetting"] == 1, "a tie is not right"


def test_margins_and_early_errors_are_means() -> None:
    logits = [[1.0, 0.0, -1.0], [0.0, 2.0, 0.0], [3.0, 0.0, 1.0]]
    found = noted(logits, early=2)
    assert found["aum"] == pytest.approx((1 - 2 + 2) / 3)
    errors = [
        (torch.tensor(one).softmax(0) - torch.tensor([1.0, 0, 0])).norm().item() for one in logits
    ]
    assert found["el2n"] == pytest.approx(sum(errors[:2]) / 2)
    assert noted(logits[:1], early=2)["el2n"] == pytest.approx(errors[0])


def test_scores_are_those_of_a_plain_training(data: Images) -> None:
    """Logits are noted as the network is trained on them, every image once an epoch."""
    one = RECIPE.model_copy(update={"networks": 1})
    seen: list[int] = []
    note = Dynamics.note

    def watching(self: Dynamics, rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        assert logits.requires_grad
        seen.extend(rows.tolist())
        note(self, rows, logits, labels)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Dynamics, "note", watching)
        scores = watch_training(SPEC, data, one, ("key",), Checkpoint(None))
    assert len(seen) == 4 * 24
    assert all(sorted(seen[24 * i : 24 * (i + 1)]) == list(range(24)) for i in range(4))
    assert set(scores) == set(SCORES)
    assert all(score.shape == (24,) and score.isfinite().all() for score in scores.values())
    assert 0 <= scores["forgetting"].min() <= scores["forgetting"].max() <= 4
    assert scores["aum"].std() > 0


def test_scores_are_means_over_networks(data: Images) -> None:
    both = watch_training(SPEC, data, RECIPE, ("key",), Checkpoint(None))
    one = watch_training(
        SPEC, data, RECIPE.model_copy(update={"networks": 1}), ("key",), Checkpoint(None)
    )
    assert not torch.equal(both["aum"], one["aum"]), "the second network is another"


class KilledError(Exception):
    pass


@pytest.mark.parametrize("steps", [2, 5, 14])
def test_interrupted_watching_ends_as_if_nothing_had_happened(
    data: Images, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: int
) -> None:
    expected = watch_training(SPEC, data, RECIPE, ("key",), Checkpoint(None))
    loss_of, left = module.watched_loss, [steps]

    def killing(dynamics: Dynamics):
        own = loss_of(dynamics)

        def loss(*args: object) -> Tensor:
            left[0] -= 1
            if left[0] == 0:
                raise KilledError
            return own(*args)

        return loss

    checkpoint = Checkpoint(tmp_path, interval=0)
    with monkeypatch.context() as patch:
        patch.setattr(module, "watched_loss", killing)
        with pytest.raises(KilledError):
            watch_training(SPEC, data, RECIPE, ("key",), checkpoint)
    found = watch_training(SPEC, data, RECIPE, ("key",), checkpoint)
    assert all(torch.equal(found[name], expected[name]) for name in SCORES)


def test_dynamics_are_restored_as_they_were_saved() -> None:
    dynamics = Dynamics(2, 1, CPU)
    dynamics.note(torch.tensor([0, 1]), torch.randn(2, 3), torch.tensor([0, 2]))
    other = Dynamics(2, 1, CPU)
    other.load_state_dict(dynamics.state_dict())
    assert all(torch.equal(other.sums[name], part) for name, part in dynamics.sums.items())
    assert dataclasses.is_dataclass(Images)

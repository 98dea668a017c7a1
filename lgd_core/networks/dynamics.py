"""What a network's training says of every image: how often it was forgotten, margins, errors.

Forgetting: Toneva et al., "An empirical study of example forgetting during deep neural network
learning" (ICLR 2019). Area under the margin: Pleiss et al., "Identifying mislabeled data using the
area under the margin ranking" (NeurIPS 2020). EL2N: Paul et al., "Deep learning on a data diet"
(NeurIPS 2021).
"""

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import Key
from lgd_core.config.settings import DynamicsSettings, NetworkSpec
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Batch, BatchLoss, Images, train_epochs, training_batch

# Scores by name, each (N,).
SCORES = ("el2n", "forgetting", "aum")


class Dynamics:
    """Sums over the times that a training sees each of N images, as it is seen: augmented.

    ``early`` is the number of times that count for the error.
    """

    def __init__(self, images: int, early: int, device: torch.device) -> None:
        self.early = early
        self.sums = {
            name: torch.zeros(images, dtype=torch.float32, device=device)
            for name in ("seen", "right", "learned", "forgotten", "margin", "error")
        }

    def note(self, rows: Tensor, logits: Tensor, labels: Tensor) -> None:
        """Take in the logits (B, classes) of some rows (B,), none of them twice."""
        logits = logits.detach().float()
        own = logits.gather(1, labels[:, None])
        others = logits.scatter(1, labels[:, None], -torch.inf).amax(1, keepdim=True)
        margin = (own - others).squeeze(1)
        right = (margin > 0).float()
        error = (logits.softmax(1) - F.one_hot(labels, logits.shape[1])).norm(dim=1)
        sums = self.sums
        sums["forgotten"][rows] += sums["right"][rows] * (1 - right)
        sums["error"][rows] += error * (sums["seen"][rows] < self.early)
        sums["margin"][rows] += margin
        sums["learned"][rows] = torch.maximum(sums["learned"][rows], right)
        sums["right"][rows] = right
        sums["seen"][rows] += 1

    def scores(self) -> dict[str, Tensor]:
        """Return ``el2n``, ``forgetting`` and ``aum`` (N,), on the CPU.

        EL2N is the mean L2 norm of probabilities minus the true class over the early times,
        ``forgetting`` how often a right prediction was followed by a wrong one, ``aum`` the mean of
        the true class's logit minus the greatest other. An image that was never right counts as
        forgotten every time, more often than any other can be.
        """
        known = {name: part.cpu() for name, part in self.sums.items()}
        seen, learned = known["seen"].clamp(min=1), known["learned"] > 0
        return {
            "el2n": known["error"] / seen.clamp(max=self.early),
            "forgetting": known["forgotten"].where(learned, seen),
            "aum": known["margin"] / seen,
        }

    def state_dict(self) -> dict[str, Any]:
        """Return the sums so far."""
        return dict(self.sums)

    def load_state_dict(self, state_dict: Mapping[str, Any], /) -> None:
        """Go on from what state_dict has returned."""
        for name, part in self.sums.items():
            part.copy_(state_dict[name])


def watched_loss(dynamics: Dynamics) -> BatchLoss:
    """Return the cross-entropy of an augmented batch without CutMix, noted in ``dynamics``."""

    def loss_on(model: nn.Module, data: Images, batch: Batch, rng: torch.Generator) -> Tensor:
        logits = model(training_batch(data, batch, rng))
        dynamics.note(batch.rows, logits, batch.labels)
        return F.cross_entropy(logits, batch.labels)

    return loss_on


def watch_training(
    spec: NetworkSpec, data: Images, recipe: DynamicsSettings, key: Key, checkpoint: Checkpoint
) -> dict[str, Tensor]:
    """Train networks on images one after another; return the mean of each score (N,) over them.

    Every network has first weights and an order of images of its own, by the key.
    """
    found: list[dict[str, Tensor]] = []
    for number in range(recipe.networks):
        name = f"network {number + 1} of {recipe.networks}"
        dynamics = Dynamics(len(data.labels), recipe.early, data.device)
        own = checkpoint.part(f"network{number}")
        done = own.load("scores", *SCORES)
        if done is None:
            model = build_network(spec, *key, number).to(data.device)
            more, loss_on = {"dynamics": dynamics}, watched_loss(dynamics)
            train_epochs(
                model, data, recipe.training, (*key, number), own, name, loss_on, no_rows, more=more
            )
            done = dynamics.scores()
            own.save("scores", done)
        found.append(done)
    return {name: torch.stack([one[name] for one in found]).mean(0) for name in SCORES}


def no_rows(epoch: int, loss: float) -> list[float]:
    """Return no rows of an epoch: what is kept of it is what dynamics have noted."""
    return []

"""Real images chosen greedily, class by class, in the features of the reference model.

Picks depend on the features alone. The picks for a smaller set are the first picks for a larger
one, and increment k of size N holds picks kN to kN + N - 1.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lgd_core.data.real_images import rows_of_class
from lgd_core.distill.artifacts import present
from lgd_core.distill.context import Candidates, SourceContext, as_candidates
from lgd_core.distill.sources.real import StoredSettings
from lgd_core.networks.features import penultimate
from lgd_core.networks.training import Images

# A function of points (C, n, d), a mask (C, n) that is false for padding, and the number of picks;
# it returns the picks (C, count).
Choice = Callable[[Tensor, Tensor, int], Tensor]


def coreset_candidates(context: SourceContext[StoredSettings], choose: Choice) -> Candidates:
    """Return real images chosen in the reference's features, as one candidate per position.

    They are the same for every seed.
    """
    artifacts, prior, labels = context.artifacts, context.prior, context.labels
    real = present(artifacts.real)
    images, known = real.split("train")
    seen = Images.on(prior.device, images, known, context.seen)
    own = torch.isin(known, torch.tensor(labels)).nonzero().flatten()
    features, _ = penultimate(present(artifacts.reference), seen, rows=own)
    picks = coreset_increment(choose, features, known[own], labels, context.ipc, context.key[1])
    rows, (images, _) = own[picks], real.split("originals")
    through = context.settings.through_autoencoder
    return as_candidates(images[rows.flatten()], len(labels), through, prior), {}


def coreset_increment(
    choose: Choice, features: Tensor, labels: Tensor, classes: list[int], size: int, increment: int
) -> Tensor:
    """Return the rows (classes, size) of an increment of a coreset that ``choose`` picks.

    ``features`` (M, d) and ``labels`` (M,) are those of all training images of the classes. Raises
    UserError if a class has too few images.
    """
    count = (increment + 1) * size
    rows = [rows_of_class(labels, label, count, f"increment {increment}") for label in classes]
    points = pad_sequence([features[part] for part in rows], batch_first=True)
    lengths = torch.tensor([len(part) for part in rows])
    exists = torch.arange(points.shape[1]) < lengths[:, None]
    picks = choose(centred(points, exists), exists, count)
    padded = pad_sequence(rows, batch_first=True)
    return padded.gather(1, picks)[:, increment * size :]


def centred(points: Tensor, exists: Tensor) -> Tensor:
    """Subtract each class's mean from points (C, n, d); ``exists`` (C, n) is false for padding."""
    weights = exists.to(points.dtype)[..., None]
    mean = (points * weights).sum(1, keepdim=True) / weights.sum(1, keepdim=True)
    return points - mean


def herding(points: Tensor, exists: Tensor, count: int) -> Tensor:
    """Return the picks (C, count) whose running mean follows the mean of centred points (C, n, d).

    Welling (2009), without replacement. Pick t is the point that brings the mean of t picks nearest
    to the class mean. That mean is 0 here, so it is the point nearest to minus the sum of the
    earlier picks.
    """
    norms, free, total = squared_norms(points), exists.clone(), torch.zeros_like(points[:, 0])
    picks: list[Tensor] = []
    for _ in range(count):
        away = squared_distances(points, norms, -total).masked_fill(~free, torch.inf)
        picks.append(away.argmin(1))
        free.scatter_(1, picks[-1][:, None], False)
        total += _at(points, picks[-1])
    return torch.stack(picks, dim=1)


def kcenter(points: Tensor, exists: Tensor, count: int) -> Tensor:
    """Return the picks (C, count) of farthest-first traversal over centred points (C, n, d).

    Gonzalez (1985), the greedy k-center of Sener and Savarese (2018): first the point nearest to
    the class mean, then always the point farthest from all picks.
    """
    norms = squared_norms(points)
    from_mean = squared_distances(points, norms, torch.zeros_like(points[:, 0]))
    picks = [from_mean.masked_fill(~exists, torch.inf).argmin(1)]
    nearest = torch.full_like(from_mean, torch.inf).masked_fill(~exists, -torch.inf)
    for _ in range(1, count):
        apart = squared_distances(points, norms, _at(points, picks[-1]))
        nearest = nearest.minimum(apart)
        # Copies of a pick are at distance 0 from it; -inf keeps the pick from being chosen again.
        nearest.scatter_(1, picks[-1][:, None], -torch.inf)
        picks.append(nearest.argmax(1))
    return torch.stack(picks, dim=1)


def squared_norms(points: Tensor) -> Tensor:
    """Return |x|^2 (C, n) of points (C, n, d), which distances from all centres share."""
    return points.square().sum(2)


def squared_distances(points: Tensor, norms: Tensor, centres: Tensor) -> Tensor:
    """Return squared distances (C, n) of points (C, n, d) from one centre per class (C, d)."""
    products = torch.bmm(points, centres[..., None])[..., 0]
    return norms + centres.square().sum(1, keepdim=True) - 2 * products


def _at(points: Tensor, picks: Tensor) -> Tensor:
    return points[torch.arange(len(points)), picks]

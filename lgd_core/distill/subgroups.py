"""Subgroup selection: which group of candidates stands for each class (IMS3, CVPR 2026)."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Rounds over all classes, at most.
SWEEPS = 5


def best_groups(
    centroids: Tensor, real: Tensor, centre_weight: float, pair_weight: float
) -> Tensor:
    """Return the group (C,) of every class that together have the highest score.

    ``centroids`` (C, groups, d) are the mean features of each group, ``real`` (C, d) those of each
    class's real images. With d = 1 - cosine, the score is ``-centre_weight`` times the sum over
    classes of log d(group, real) plus ``pair_weight`` times the sum over pairs of classes of
    log d(group, group of the other class). Each class begins with the group nearest to its real
    images. Then classes change one after another to the group that raises the score most, until a
    sweep changes nothing or after five sweeps.
    """
    centroids, real = F.normalize(centroids, dim=2), F.normalize(real, dim=1)
    near = _log_distance(torch.einsum("cgd,cd->cg", centroids, real))
    groups = near.argmin(1)
    classes = torch.arange(len(centroids))
    for _ in range(SWEEPS):
        before = groups.clone()
        for label in range(len(centroids)):
            others = centroids[classes, groups][classes != label]
            apart = _log_distance(centroids[label] @ others.T).sum(1)
            groups[label] = (pair_weight * apart - centre_weight * near[label]).argmax()
        if torch.equal(groups, before):
            break
    return groups


def _log_distance(cosines: Tensor) -> Tensor:
    return (1 - cosines).clamp_min(1e-12).log()

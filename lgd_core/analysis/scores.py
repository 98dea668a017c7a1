"""Scores by which distilled sets are compared apart from labels, augmentation and learning rates.

DD-Ranking (Li et al., 2025, arXiv 2505.13300). Its scores take accuracies as shares in [0, 1],
since the exponential of a difference depends on the unit. Columns of accuracies are in percent,
those of HLR and IOR in percentage points.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lgd_core.analysis.metrics import mean_std, spread
from lgd_core.base.files import read_json
from lgd_core.config.arms import ARMS
from lgd_core.config.external import PROVENANCE

SCORE_COLUMNS = (
    "dataset",
    "ipc",
    "method",
    "protocol",
    "protocol_digest",
    "labels",
    "student",
    "n",
    "sets",
    "hlr",
    "hlr_std",
    "ior",
    "ior_std",
    "lrs",
    "lrs_std",
    "ars",
    "ars_std",
    "real_top1",
    "real_from",
    *(
        f"{arm}_{part}"
        for arm in (*ARMS, "random_own", "random_unaugmented")
        for part in ("top1", "top1_std", "lr")
    ),
    "image_bytes",
    "label_bytes",
    "recognised",
    "frechet_distance",
    "precision",
    "recall",
    "density",
    "coverage",
    "vendi_score",
)
FIDELITY = SCORE_COLUMNS[SCORE_COLUMNS.index("recognised") :]
# Columns of deviations that are not in points.
SHARES = ("lrs_std", "ars_std")

# What students of the arms of config.arms have reached on a set, by the arm.
Arms = Mapping[str, Mapping[str, Any]]


def hard_label_recovery(real: float, synthetic: float) -> float:
    """Return HLR, what students on class labels lose by a set: acc(real) - acc(synthetic)."""
    return _share(real) - _share(synthetic)


def improvement_over_random(synthetic: float, random: float) -> float:
    """Return IOR, what a set gains over as many random real images by the same protocol."""
    return _share(synthetic) - _share(random)


def label_robust_score(recovery: float, improvement: float, weight: float = 0.5) -> float:
    """Return LRS in [0, 1] from HLR and IOR: w IOR - (1 - w) HLR, normalised."""
    return _normalised(weight * improvement - (1 - weight) * recovery)


def augmentation_robust_score(augmented: float, unaugmented: float, weight: float = 0.5) -> float:
    """Return ARS in [0, 1] from IOR with and without augmentation: their mean, normalised.

    ``weight`` is that of the first.
    """
    return _normalised(weight * augmented + (1 - weight) * unaugmented)


def _share(accuracy: float) -> float:
    if not 0 <= accuracy <= 1:
        raise ValueError(f"accuracy: found {accuracy:g}, expected a share from 0 to 1")
    return accuracy


def _normalised(difference: float) -> float:
    """Return (e^x - e^-1) / (e - e^-1), which maps [-1, 1] to [0, 1]."""
    if not -1 <= difference <= 1:
        raise ValueError(f"difference of accuracies: found {difference:g}, expected -1 to 1")
    return (math.exp(difference) - math.exp(-1)) / (math.e - math.exp(-1))


def round_scores(real: float, arms: Arms, random: Arms) -> list[dict[str, float]]:
    """Return ``hlr`` and ``ior`` in points, ``lrs`` and ``ars`` of every round of a set.

    ``real`` is the accuracy in percent of a network trained on all real images. ``arms`` of the set
    and of ``random`` real images have ``top1`` in percent, one per round.
    """
    of_set = [arms[name]["top1"] for name in ("hard", "own", "unaugmented")]
    of_random = [random[name]["top1"] for name in ("own", "unaugmented")]
    rounds = zip(*of_set, *of_random, strict=True)
    return [_of_round(*(percent / 100 for percent in (real, *each))) for each in rounds]


def _of_round(
    real: float, hard: float, own: float, unaugmented: float, random: float, random_plain: float
) -> dict[str, float]:
    recovery, improvement = hard_label_recovery(real, hard), improvement_over_random(own, random)
    without = improvement_over_random(unaugmented, random_plain)
    return {
        "hlr": 100 * recovery,
        "ior": 100 * improvement,
        "lrs": label_robust_score(recovery, improvement),
        "ars": augmentation_robust_score(improvement, without),
    }


def arms_by_set(artifacts: Iterable[dict[str, Any]]) -> dict[str, list[Arms]]:
    """Gather what students have reached by method: for each of its sets by arm.

    Where own labels are class labels there is no arm ``hard``: it is the same as ``own``.
    """
    sets: dict[tuple[str, str], dict[str, Mapping[str, Any]]] = {}
    for artifact in artifacts:
        sets.setdefault((artifact["method"], artifact["seeds"]), {})[artifact["arm"]] = artifact
    found: dict[str, list[Arms]] = {}
    for (method, _), arms in sets.items():
        found.setdefault(method, []).append({"hard": arms["own"]} | arms)
    return found


def bytes_by_method(folders: Iterable[str | Path]) -> dict[str, int]:
    """Return the bytes of the PNG files of merged sets by method, of several sets the largest."""
    found: dict[str, int] = {}
    for folder in map(Path, folders):
        method = read_json(folder / PROVENANCE)["method"]
        size = sum(path.stat().st_size for path in folder.rglob("*.png"))
        found[method] = max(size, found.get(method, 0))
    return found


def score_table(
    dataset: str,
    ipc: int,
    facts: Mapping[str, str],
    sets: Mapping[str, Sequence[Arms]],
    random: Arms,
    real: float,
    fidelity: Sequence[Mapping[str, Any]],
    image_bytes: Mapping[str, int],
) -> pd.DataFrame:
    """Return the scores of every method, and what is behind them: SCORE_COLUMNS.

    ``facts`` says how they were measured; ``sets`` and ``image_bytes`` are by method, ``random``
    and ``real`` as in round_scores. ``fidelity`` has for every set its ``method`` and its
    ``quality``, that of fidelity.sample_quality.
    """
    rows = [
        {"dataset": dataset, "ipc": ipc, "method": method, **facts}
        | _scores(real, own, random)
        | _accuracies(real, own, random)
        | {"image_bytes": image_bytes[method]}
        | _fidelity([each["quality"] for each in fidelity if each["method"] == method])
        for method, own in sets.items()
    ]
    return pd.DataFrame(rows, columns=list(SCORE_COLUMNS))


def _fidelity(sets: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return what a method's sets are like beside real images, averaged over sets."""
    return {name: mean_std([quality[name] for quality in sets])[0] for name in FIDELITY}


def _scores(real: float, sets: Sequence[Arms], random: Arms) -> dict[str, float]:
    """Return the scores of a method's sets, with deviations as in metrics.Spread."""
    rounds = [round_scores(real, arms, random) for arms in sets]
    row: dict[str, float] = {}
    for name in ("hlr", "ior", "lrs", "ars"):
        found = spread([[each[name] for each in of_set] for of_set in rounds])
        row |= {"n": found.n, "sets": found.n_sets, name: found.mean, f"{name}_std": found.std}
    return row


def _accuracies(real: float, sets: Sequence[Arms], random: Arms) -> dict[str, Any]:
    """Return the accuracies behind scores in percent, the rates chosen per set, bytes of labels."""
    measured = {arm: [arms[arm] for arms in sets] for arm in ARMS}
    measured |= {f"random_{arm}": [random[arm]] for arm in ("own", "unaugmented")}
    row: dict[str, Any] = {"real_top1": real}
    for name, arms in measured.items():
        found = spread([arm["top1"] for arm in arms])
        rates = " ".join(f"{arm['lr']:g}" for arm in arms)
        row |= {f"{name}_top1": found.mean, f"{name}_top1_std": found.std, f"{name}_lr": rates}
    return row | {"label_bytes": max(arm["label_bytes"] for arm in measured["own"])}

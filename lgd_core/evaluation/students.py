"""Hard-label evaluation: students trained from scratch on a set, and on each increment alone."""

from collections.abc import Sequence

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.seeding import Key
from lgd_core.config.settings import NetworkSpec, TrainingSettings
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, accuracy, train_to_length


def train_student(
    spec: NetworkSpec,
    data: Images,
    test: Images,
    validation: Images,
    recipe: TrainingSettings,
    key: Key,
    checkpoint: Checkpoint,
) -> dict[str, float | None]:
    """Train a network from scratch, its weights and order of images by ``key``; return accuracies.

    In percent. Beside ``top1`` and ``best_top1`` on the test set, ``validation_top1`` after the
    last epoch is the number to choose hyperparameters by; None where no real images are held out.
    """
    model = build_network(spec, *key).to(data.device)
    result = train_to_length(model, data, test, recipe, key, checkpoint, "student")
    held_out = accuracy(model, validation) if len(validation.labels) else None
    return result | {"validation_top1": held_out}


def cross_accuracies(
    spec: NetworkSpec,
    increments: Sequence[Images],
    recipe: TrainingSettings,
    key: Key,
    checkpoint: Checkpoint,
) -> list[list[float]]:
    """Return the K x K matrix of accuracies in percent: trained on increment i, tested on j."""
    matrix = (checkpoint.load("matrix", "matrix") or {"matrix": []})["matrix"]
    for i in range(len(matrix), len(increments)):
        name, own = f"increment {i + 1} of {len(increments)}", checkpoint.part(f"increment{i}")
        model = build_network(spec, *key, i).to(increments[i].device)
        train_to_length(model, increments[i], increments[i], recipe, (*key, i), own, name)
        matrix.append([accuracy(model, other) for other in increments])
        checkpoint.save("matrix", {"matrix": matrix})
        own.clear()
    return matrix

"""Hard-label evaluation: students trained from scratch on a set, and on each increment alone."""

from lgd_core.base.checkpoints import Resume
from lgd_core.networks.classifiers import build_network
from lgd_core.networks.training import Images, accuracy, train_to_length


def train_students(
    shape: dict,
    data: Images,
    test: Images,
    validation: Images,
    recipe: dict,
    key: tuple,
    resume: Resume,
) -> list[dict[str, float]]:
    """Train ``recipe['runs']`` networks from scratch; return the accuracies of each, in percent.

    Beside ``top1`` and ``best_top1`` on the test set, ``validation_top1`` after the last epoch is
    the number to choose hyperparameters by; None where no real images are held out.
    """
    runs = (resume.load("runs", "runs") or {"runs": []})["runs"]
    for run in range(len(runs), recipe["runs"]):
        name, own = f"run {run + 1} of {recipe['runs']}", resume.scope(f"run{run}")
        model = build_network(*shape.values(), *key, run).to(data.device)
        result = train_to_length(model, data, test, recipe, (*key, run), own, name)
        held_out = accuracy(model, validation) if len(validation.labels) else None
        runs.append({"run": run, **result, "validation_top1": held_out})
        resume.save("runs", {"runs": runs})
        own.clear()
    return runs


def cross_accuracies(
    shape: dict, increments: list[Images], recipe: dict, key: tuple, resume: Resume
) -> list[list[float]]:
    """Return the K x K matrix of accuracies in percent: trained on increment i, tested on j."""
    matrix = (resume.load("matrix", "matrix") or {"matrix": []})["matrix"]
    for i in range(len(matrix), len(increments)):
        name, own = f"increment {i + 1} of {len(increments)}", resume.scope(f"increment{i}")
        model = build_network(*shape.values(), *key, i).to(increments[i].device)
        train_to_length(model, increments[i], increments[i], recipe, (*key, i), own, name)
        matrix.append([accuracy(model, other) for other in increments])
        resume.save("matrix", {"matrix": matrix})
        own.clear()
    return matrix

"""What a stage reads of the recipes: the settings that decide its result, and no others.

Snakemake runs a job again when its settings change, so that these functions decide what an edit
repeats. A key that does not act, such as the keys of a guidance of strength 0, is left out.
"""

from lgd_core.config.methods import (
    acting_guidances,
    epochs_for_ipc,
    images_per_increment,
    mode_clusters,
    mode_increment,
    needs_learner,
)


def canonical(value: object) -> object:
    """Return settings with the keys of all mappings in order: Snakemake compares their text."""
    if isinstance(value, dict):
        return {key: canonical(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, list | tuple):
        return [canonical(item) for item in value]
    return value


def seen_images(dataset: dict) -> dict:
    """Return what the images of a data set look like to networks: classes, size, scale."""
    settings = {key: dataset[key] for key in ("classes", "image", "normalise")}
    # Folders of a seed are named by wnid where there are wnids, and must not be taken in order.
    return settings | ({"wnids": dataset["wnids"]} if dataset["wnids"] else {})


def stored_images(dataset: dict) -> dict:
    """Return what the images of a data set's increments look like on disk."""
    image = {key: dataset["image"][key] for key in ("size", "channels")}
    return {"classes": dataset["classes"], "image": image}


def trained_images(dataset: dict) -> dict:
    """Return what training on a data set's images needs to know of them."""
    return seen_images(dataset) | {"augment": dataset["augment"]}


def drawn_images(dataset: dict, method: dict) -> dict:
    """Return what a method's increments need to know of a data set's images."""
    trains = method["source"] == "condensed"
    return trained_images(dataset) if trains else seen_images(dataset)


def sampling_settings(method: dict, increment: int) -> dict:
    """Return the keys of a method that decide what the candidates of an increment look like."""
    settings = {"source": method["source"], "ipc_per_increment": method["ipc_per_increment"]}
    if method["source"] != "prior":
        settings["through_autoencoder"] = method["through_autoencoder"]
        condensed = method["source"] == "condensed"
        return settings | ({"condensation": method["condensation"]} if condensed else {})
    settings |= {"sampler": method["sampler"], "candidates": method["candidates"]}
    if guidance := acting_guidances(method, increment):
        settings["guidance"] = guidance
        settings["window"] = method["window"]
        settings["gradient"] = method["learnability"]["gradient"]
    if needs_learner(method, increment):
        settings["reference_weight"] = method["learnability"]["reference_weight"]
    return settings


def trace_settings(method: dict, increment: int) -> dict:
    """Return the keys of a method that decide its trace: those of sampling, one candidate.

    The score is measured in any case.
    """
    weight = {"reference_weight": method["learnability"]["reference_weight"]}
    return sampling_settings(method, increment) | {"candidates": 1} | weight


def seed_settings(method: dict) -> dict:
    """Return the keys of a method that decide what its increment 0 looks like."""
    source = method["seed"]["source"]
    settings = {
        "seed": {"source": source},
        "ipc_per_increment": method["ipc_per_increment"],
    }
    if source == "own":
        return settings | sampling_settings(method, 0)
    if source == "prior":
        return settings | {"sampler": method["sampler"]}
    if source in ("real", "folder"):
        return settings | {"through_autoencoder": method["through_autoencoder"]}
    return settings


def mode_settings(method: dict, increment: int) -> dict:
    """Return what decides an increment's modes beside the latents."""
    return {
        "clusters": mode_clusters(method),
        "increment": mode_increment(method, increment),
    }


def evaluation_settings(dataset: dict, method: dict, increments: int) -> dict:
    """Return the protocol of a student at the images per class that some increments make."""
    protocol = _protocol(dataset)
    ipc = increments * images_per_increment(method)
    return protocol | {"epochs": epochs_for_ipc(protocol["epochs"], ipc)}


def external_evaluation_settings(dataset: dict) -> dict:
    """Return the protocol of a student on a set of which the job finds out how large it is."""
    return _protocol(dataset)


def redundancy_settings(dataset: dict) -> dict:
    """Return the protocol of a network that is trained on one increment alone."""
    return _protocol(dataset) | dataset["redundancy"] | {"evaluations": 1}


def difficulty_settings(dataset: dict) -> dict:
    """Return the protocol of the network that is watched while it learns the labels of images."""
    keys = ("batch", "lr", "weight_decay")
    return (
        {"architecture": dataset["redundancy"]["architecture"]}
        | {key: dataset["evaluation"][key] for key in keys}
        | dataset["difficulty"]
    )


def _protocol(dataset: dict) -> dict:
    evaluation = dataset["evaluation"]
    return {key: evaluation[key] for key in evaluation if key != "students"}

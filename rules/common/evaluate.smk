"""Settings and inputs of students, and of the labels that they learn."""

from lgd_core.config.methods import images_per_increment


def protocol_of(wildcards, dataset):
    """Return the protocol of a student on a data set."""
    return checked(RECIPES.protocol, dataset, wildcards.protocol, wildcards.student)


def lesson_settings(wildcards):
    """Return how a student learns a distilled set, by the images per class of its increments."""
    ipc = (int(wildcards.k) + 1) * images_per_increment(method_of(wildcards))
    words = (wildcards.dataset, wildcards.protocol, wildcards.student, ipc)
    return checked(RECIPES.lesson, *words)


def taught_by(wildcards, dataset, folder):
    """Return what a protocol's labels come from: a teacher, stored labels of it, or neither."""
    source = protocol_of(wildcards, dataset).labels.source
    return label_inputs(source, dataset, folder, wildcards.protocol)


def label_inputs(source, dataset, folder, protocol):
    """Return what labels of a source come from, for the set in a folder."""
    if source == "online":
        return {"teacher": f"results/{dataset}/reference/model.safetensors"}
    if source == "stored":
        return {"soft_labels": f"{folder}/labels/{protocol}.safetensors"}
    return {}


def label_settings(version, wildcards, dataset):
    """Return what decides the stored labels of a set; they are the same for all students."""
    protocol = checked(RECIPES.labelling, dataset, wildcards.protocol)
    return stage(
        "label_set",
        version,
        labels=protocol.labels,
        network=seen_images(checked(RECIPES.dataset, dataset)),
    )

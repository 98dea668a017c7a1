"""Diagnosis of folders of images from elsewhere; no prior is needed."""

from lgd_core.external import list_images, manifest_of


def external_of(wildcards):
    """Return folder, data set and increment of a name under ``external`` of the run."""
    return checked(RECIPES.external_set, wildcards.external)


def external_dataset(wildcards):
    return checked(RECIPES.dataset, external_of(wildcards)["dataset"])


def external_files(wildcards):
    """Return the images and the manifest of a folder: any of them that changes is read again."""
    external = external_of(wildcards)
    images = checked(list_images, external["folder"], external_dataset(wildcards))
    return [str(path) for path, _ in images] + [
        str(path) for path in manifest_of(external["folder"])
    ]


def external_real(*names):
    """Return an input function for files of the data set that a folder belongs to."""
    return lambda wildcards: [
        f"results/{external_of(wildcards)['dataset']}/{name}" for name in names
    ]


def external_evaluation(wildcards):
    """Return the data set's protocol; how many images per class there are, the job finds out."""
    evaluation = external_dataset(wildcards)["evaluation"]
    recipe = {key: evaluation[key] for key in evaluation if key != "students"}
    return recipe | {"runs": config["runs"]}


def external_redundancy(wildcards):
    """Return the protocol of a network trained on one increment alone."""
    return (
        external_evaluation(wildcards)
        | external_dataset(wildcards)["redundancy"]
        | {"evaluations": 1}
    )

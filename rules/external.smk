"""Reading, evaluating and measuring sets from elsewhere, without a prior."""


rule fetch_external:
    """Fetch a set from the hub, and record its digest."""
    output:
        facts=HUB_RECORD,
    log:
        "results/logs/fetch_external/{external}.log",
    benchmark:
        "results/benchmarks/fetch_external/{external}.tsv"
    priority: FETCHING_FIRST
    # On a cluster only the login node may have internet access. A pod keeps what it has fetched itself.
    localrule: not IS_STORED
    conda:
        "../environment.yml"
    params:
        settings=lambda wildcards: stage(
            "fetch_external",
            1,
            name=external_of(wildcards).folder,
            revision=external_of(wildcards).revision,
        ),
    script:
        "../workflow_scripts/fetch_external.py"


rule read_external:
    """Read a set from elsewhere into arrays, at its data set's size."""
    input:
        unpack(hub_record),
    output:
        **SET_FILES,
    log:
        "results/logs/read_external/{external}.log",
    benchmark:
        "results/benchmarks/read_external/{external}.tsv"
    # Its faults should be seen before anything else is made.
    priority: FETCHING_FIRST
    conda:
        "../environment.yml"
    threads: ALL_CORES
    params:
        settings=set_settings,
        images=lambda wildcards: set_images(wildcards.external),
        # A function with `threads` does not trigger reruns: a folder may be moved.
        folder=lambda wildcards, threads: external_of(wildcards).folder,
        record=SET_RECORD,
    script:
        "../workflow_scripts/read_external.py"


rule label_external:
    """Store a teacher's labels of a folder's images."""
    input:
        teacher=external_real("reference/model.safetensors"),
        images="results/external/{external}/set_images.npy",
        labels="results/external/{external}/set_labels.npy",
        record="results/external/{external}/set.json",
    output:
        labels="results/external/{external}/labels/{protocol}.safetensors",
    log:
        "results/logs/label_external/{external}_{protocol}.log",
    benchmark:
        "results/benchmarks/label_external/{external}_{protocol}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: label_settings(
            1, wildcards, external_of(wildcards).dataset
        ),
    script:
        "../workflow_scripts/label_external.py"


rule evaluate_external:
    """Train one student from scratch on a folder's images and test it on the data set."""
    input:
        external_real(
            *(
                f"data/{split}_{part}.npy"
                for split in ("validation", "test")
                for part in ("images", "labels")
            ),
            "data/prepared.json",
        ),
        unpack(
            lambda wildcards: taught_by(
                wildcards,
                external_of(wildcards).dataset,
                f"results/external/{wildcards.external}",
            )
        ),
        images="results/external/{external}/set_images.npy",
        labels="results/external/{external}/set_labels.npy",
        record="results/external/{external}/set.json",
    output:
        run="results/external/{external}/evaluate/{protocol}/{student}/r{run}.json",
    log:
        "results/logs/evaluate_external/{external}_{protocol}_{student}_r{run}.log",
    benchmark:
        "results/benchmarks/evaluate_external/{external}_{protocol}_{student}_r{run}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "evaluate_external",
            2,
            evaluation=protocol_of(wildcards, external_of(wildcards).dataset),
            network=student_images(
                external_dataset(wildcards),
                protocol_of(wildcards, external_of(wildcards).dataset),
            ),
        ),
    script:
        "../workflow_scripts/evaluate_external.py"


rule cross_external:
    """Train on each increment of a folder alone and test on every other."""
    input:
        images="results/external/{external}/set_images.npy",
        labels="results/external/{external}/set_labels.npy",
        record="results/external/{external}/set.json",
        table="results/external/{external}/set.csv",
    output:
        matrix="results/external/{external}/cross_increment.json",
    log:
        "results/logs/cross_external/{external}.log",
    benchmark:
        "results/benchmarks/cross_external/{external}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "cross_external",
            1,
            redundancy=redundancy_settings(external_dataset(wildcards)),
            network=trained_images(external_dataset(wildcards)),
        ),
    script:
        "../workflow_scripts/cross_external.py"


rule difficulty_external:
    """Measure how fast a new network learns each image of a folder."""
    input:
        images="results/external/{external}/set_images.npy",
        labels="results/external/{external}/set_labels.npy",
        record="results/external/{external}/set.json",
        table="results/external/{external}/set.csv",
    output:
        samples="results/external/{external}/difficulty.csv",
        facts="results/external/{external}/difficulty.json",
    log:
        "results/logs/difficulty_external/{external}.log",
    benchmark:
        "results/benchmarks/difficulty_external/{external}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "difficulty_external",
            1,
            difficulty=difficulty_settings(external_dataset(wildcards)),
            zones=zone_facts(),
            network=trained_images(external_dataset(wildcards)),
        ),
    script:
        "../workflow_scripts/difficulty_external.py"


rule neighbours_external:
    """Find the real training images nearest to a folder's images, and its near-duplicates."""
    input:
        external_real(
            "data/train_images.npy",
            "data/train_labels.npy",
            "data/prepared.json",
        ),
        reference=external_real("reference/model.safetensors"),
        images="results/external/{external}/set_images.npy",
        labels="results/external/{external}/set_labels.npy",
        record="results/external/{external}/set.json",
        table="results/external/{external}/set.csv",
    output:
        neighbours="results/external/{external}/neighbours.csv",
        duplicates="results/external/{external}/duplicates.csv",
        facts="results/external/{external}/neighbours.json",
    log:
        "results/logs/neighbours_external/{external}.log",
    benchmark:
        "results/benchmarks/neighbours_external/{external}.tsv"
    conda:
        "../environment.yml"
    threads: 1
    resources:
        gpu=GPU,
    params:
        settings=lambda wildcards: stage(
            "neighbours_external",
            1,
            names=external_dataset(wildcards).class_names,
            network=seen_images(external_dataset(wildcards)),
        ),
        source=lambda wildcards, threads: where_images_lie(
            external_of(wildcards), threads
        ),
    script:
        "../workflow_scripts/neighbours_external.py"

"""Train networks on all real training images, and score how they learn each."""

from job import running

from lgd_core.base.tensors import save_tensors
from lgd_core.config.settings import DynamicsSettings, SeenImages
from lgd_core.networks.dynamics import watch_training
from lgd_core.networks.training import Images

with running(snakemake) as job:
    recipe, seen = job.read("dynamics", DynamicsSettings), job.read("network", SeenImages)
    train = Images.on(job.device, *job.real_images(snakemake.input[0]).split("train"), seen)
    spec, key = seen.network(recipe.architecture), ("dynamics", recipe.seed)
    scores = watch_training(spec, train, recipe, key, job.checkpoint)
    save_tensors(snakemake.output.dynamics, scores, job.stamp())

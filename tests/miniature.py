"""A miniature of ImageNet and of DiT, and a project folder around them: ``miniature.py FOLDER``.

On it the commands for ImageNette and ImageWoof run at their full length, in minutes on a CPU.
"""

import csv
import shutil
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from lgd_core.config.schema import load_yaml

ROOT = Path(__file__).parents[1]
PRODUCT = (
    "Snakefile",
    "Makefile",
    "environment.yml",
    "rules",
    "workflow_scripts",
    "config",
    "profiles",
    "report",
    "priors",
)
DATASETS = ("imagenette", "imagewoof")
IMAGES = {"train": 12, "val": 6}
# Of ImageNet-1K's classes, in the order of wnids, every so many are in its miniature.
EVERY = 25
# RDED puts the crops of 200 images of a class into 50.
FEW = {"train": 200, "val": 2}


def copy_product(folder: Path) -> None:
    """Copy what a user has of the project into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in PRODUCT:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)


def draw_image(label: int, rng: np.random.Generator) -> Image.Image:
    """Draw a shape of the class's colour and form on noise, somewhere in a landscape picture."""
    height, width = 84, 110
    noise = rng.integers(0, 60, (height, width, 3), dtype=np.uint8)
    image = Image.fromarray(noise)
    pen = ImageDraw.Draw(image)
    colour = tuple(int(c) for c in np.array([97, 157, 211]) * (label + 1) % 196 + 60)
    left, top = rng.integers(20, 45), rng.integers(8, 24)
    box = [left, top, left + 45, top + 45]
    (pen.ellipse if label % 2 else pen.rectangle)(box, fill=colour)
    return image


def build_imagenet(root: Path) -> None:
    """Write an ILSVRC-like tree with the real wnids of both data sets, a dozen JPEGs a class."""
    for dataset in DATASETS:
        recipe = load_yaml(ROOT / "config" / "datasets" / f"{dataset}.yaml")
        for label, known in enumerate(recipe["classes"]):
            rng = np.random.default_rng(known["index"])
            for path in class_paths(root, known, IMAGES):
                path.parent.mkdir(parents=True, exist_ok=True)
                draw_image(label, rng).save(path, quality=95)


def build_imagenet1k(folder: Path) -> None:
    """Write an ILSVRC-like tree of 40 classes, the file with their names, and a random teacher."""
    with open(ROOT / "config" / "classes" / "imagenet1k.csv", newline="") as stream:
        classes = list(csv.DictReader(stream))[::EVERY]
    for place, known in enumerate(classes):
        rng = np.random.default_rng(place)
        for path in class_paths(folder / "imagenet", known | {"index": EVERY * place}, FEW):
            path.parent.mkdir(parents=True, exist_ok=True)
            draw_image(place, rng).save(path, quality=95)
    with open(folder / "classes.csv", "w", newline="") as stream:
        writer = csv.DictWriter(stream, ["wnid", "name"])
        writer.writeheader()
        writer.writerows({key: known[key] for key in ("wnid", "name")} for known in classes)
    write_teacher(folder / "teacher.safetensors")
    build_prior(folder / "prior", 32, 2)


def write_teacher(path: Path) -> None:
    """Write weights of a small random network of ImageNet's 1000 classes."""
    from safetensors.torch import save_file

    from lgd_core.config.settings import NetworkSpec
    from lgd_core.networks.classifiers import build_network

    spec = NetworkSpec(name="ResNetAP-10-w8-bn", channels=3, size=24, classes=1000)
    save_file(build_network(spec, "teacher").state_dict(), path)


def write_image(root: Path, wnid: str, index: int) -> None:
    """Write one training image and one validation image of a class."""
    rng = np.random.default_rng(index)
    for path in class_paths(root, {"wnid": wnid, "index": index}, {"train": 1, "val": 1}):
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_image(index, rng).save(path, quality=95)


def class_paths(root: Path, known: dict, counts: dict[str, int]) -> list[Path]:
    """Return the files of a class, as many as ``counts`` has, under ILSVRC's names."""
    first = 1 + known["index"] * counts["val"]
    names = {
        "train": [f"{known['wnid']}_{i}" for i in range(counts["train"])],
        "val": [f"ILSVRC2012_val_{first + i:08d}" for i in range(counts["val"])],
    }
    return [root / part / known["wnid"] / f"{name}.JPEG" for part in names for name in names[part]]


def build_prior(folder: Path, size: int = 72, patch: int = 3) -> None:
    """Write a small random DiTPipeline: 1000 classes, learned variance, images of a size."""
    # Here, since building a project's folder alone should not take seconds.
    import torch
    from diffusers import AutoencoderKL, DDPMScheduler, DiTPipeline, DiTTransformer2DModel

    torch.manual_seed(0)
    widths = (8, 8, 16, 16)  # three halvings, as Stable Diffusion's autoencoder
    autoencoder = AutoencoderKL(
        down_block_types=("DownEncoderBlock2D",) * len(widths),
        up_block_types=("UpDecoderBlock2D",) * len(widths),
        block_out_channels=widths,
        latent_channels=4,
        norm_num_groups=4,
        sample_size=size,
    )
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=size // 8,
        patch_size=patch,
    )
    scheduler = DDPMScheduler(clip_sample=False, variance_type="learned_range")
    DiTPipeline(transformer=transformer, vae=autoencoder, scheduler=scheduler).save_pretrained(
        folder
    )


def build(folder: Path) -> None:
    """Make a project folder with the miniature of ImageNette and ImageWoof in ``miniature/``."""
    copy_product(folder)
    build_imagenet(folder / "miniature" / "imagenet")
    build_prior(folder / "miniature" / "prior")


def build_1k(folder: Path) -> None:
    """Make a project folder with the miniature of ImageNet-1K in ``miniature1k/``."""
    copy_product(folder)
    build_imagenet1k(folder / "miniature1k")


if __name__ == "__main__":
    build(Path(sys.argv[1]))
    build_imagenet1k(Path(sys.argv[1]) / "miniature1k")

"""A miniature of ImageNet and of DiT, and a project folder around them: ``miniature.py FOLDER``.

On it the commands for ImageNette and ImageWoof run at their full length, in minutes on a CPU.
"""

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


def class_paths(root: Path, known: dict, counts: dict[str, int]) -> list[Path]:
    """Return the files of a class, as many as ``counts`` has, under ILSVRC's names."""
    first = 1 + known["index"] * counts["val"]
    names = {
        "train": [f"{known['wnid']}_{i}" for i in range(counts["train"])],
        "val": [f"ILSVRC2012_val_{first + i:08d}" for i in range(counts["val"])],
    }
    return [root / part / known["wnid"] / f"{name}.JPEG" for part in names for name in names[part]]


def build_prior(folder: Path) -> None:
    """Write a small random DiTPipeline: 1000 classes, learned variance, images of 72 pixels."""
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
        sample_size=72,
    )
    transformer = DiTTransformer2DModel(
        num_attention_heads=2,
        attention_head_dim=16,
        in_channels=4,
        out_channels=8,
        num_layers=2,
        sample_size=9,
        patch_size=3,
    )
    scheduler = DDPMScheduler(clip_sample=False, variance_type="learned_range")
    DiTPipeline(transformer=transformer, vae=autoencoder, scheduler=scheduler).save_pretrained(
        folder
    )


def build(folder: Path) -> None:
    """Make a project folder with the miniature data in ``miniature/``."""
    copy_product(folder)
    build_imagenet(folder / "miniature" / "imagenet")
    build_prior(folder / "miniature" / "prior")


if __name__ == "__main__":
    build(Path(sys.argv[1]))

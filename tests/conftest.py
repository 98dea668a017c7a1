"""Real components at toy size: a prior with fixed and one with learned variance, two networks."""

import dataclasses
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest
import torch
from browser import Browser, find_chromium
from diffusers import AutoencoderKL, DiTTransformer2DModel
from projects import close_warm
from torch import nn

from lgd_core.base.checkpoints import Checkpoint
from lgd_core.base.micro_batches import MicroBatches
from lgd_core.config.models.base import Config
from lgd_core.config.models.dataset import (
    AugmentConfig,
    AutoencoderConfig,
    ImageConfig,
    NormaliseConfig,
    TransformerConfig,
)
from lgd_core.config.schema import merge
from lgd_core.config.settings import SeenImages
from lgd_core.diffusion.prior_training import build_autoencoder, build_transformer, save_prior
from lgd_core.diffusion.priors import Prior, load_prior
from lgd_core.distill.artifacts import Scorer
from lgd_core.distill.influence import Influence
from lgd_core.networks.classifiers import Preprocess, build_network
from lgd_core.networks.training import Images


def pytest_configure() -> None:
    """Hear Ctrl-C as from a terminal: what is started in the background ignores it."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_sessionfinish() -> None:
    close_warm()


CLASSES = 3
SIZE = 16
CPU = torch.device("cpu")
CLASS_NAMES = ["ant", "bee", "cat"]
SEEN = SeenImages(
    classes=3,
    image=ImageConfig(size=SIZE, channels=3),
    normalise=NormaliseConfig(mean=[0.5] * 3, std=[0.3] * 3),
    augment=AugmentConfig(crop_scale=[0.8, 1.0], crop_ratio=[0.9, 1.1], flip=0.5),
)
SPEC = SEEN.network("ConvNet-2-w8")
AUTOENCODER = AutoencoderConfig(widths=[8, 16], norm_groups=4, latent_channels=4)
TRANSFORMER = TransformerConfig(heads=2, head_dim=8, layers=2, patch_size=2)

Settings = TypeVar("Settings", bound=Config)


def changed(settings: Settings, **parts: object) -> Settings:
    """Return settings with some keys changed, mappings key by key, and validated anew."""
    return settings.model_validate(merge(settings.model_dump(by_alias=True), parts))


def crossed(matrices: dict[str, list[list[list[float]]]]) -> list[dict[str, object]]:
    """Return what cross_increment writes of each method, a matrix per seed."""
    return [
        {"method": method, "seed": str(seed), "matrix": matrix}
        for method, seeds in matrices.items()
        for seed, matrix in enumerate(seeds)
    ]


def toy_autoencoder() -> AutoencoderKL:
    torch.manual_seed(0)
    autoencoder = build_autoencoder(AUTOENCODER, channels=3, size=SIZE).eval()
    autoencoder.register_to_config(scaling_factor=0.5)
    return autoencoder


def toy_transformer(learned_sigma: bool) -> DiTTransformer2DModel:
    torch.manual_seed(1)
    model = build_transformer(TRANSFORMER, toy_autoencoder(), CLASSES)
    if learned_sigma:
        model = DiTTransformer2DModel(**(dict(model.config) | {"out_channels": 8}))
    return model.eval()


# Two workers share two cores, and golden numbers do not hang on how many a machine has.
torch.set_num_threads(1)

# Longest first, so that two workers end together; the second makes the finished project at once.
FIRST = (
    "test_miniature",
    "test_analysis_targets",
    "test_slurm_table",
    "test_interruption",
    "test_comparisons",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of FIRST before all others."""
    places = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: places.get(item.path.stem, len(FIRST)))


@pytest.fixture(scope="session")
def fixed_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prior's folder, 3 classes of 3 x 16 x 16, latents 4 x 8 x 8, fixed variance."""
    folder = tmp_path_factory.mktemp("prior") / "fixed"
    save_prior(str(folder), toy_transformer(False), toy_autoencoder(), ["ant", "bee", "cat"])
    return folder


@pytest.fixture(scope="session")
def learned_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a prior's folder like fixed_folder's, with learned variance."""
    folder = tmp_path_factory.mktemp("prior") / "learned"
    save_prior(str(folder), toy_transformer(True), toy_autoencoder(), ["ant", "bee", "cat"])
    return folder


@pytest.fixture
def broken_folder(fixed_folder: Path, tmp_path: Path) -> Path:
    """Return a copy of a prior's folder, to be broken by the test."""
    return Path(shutil.copytree(fixed_folder, tmp_path / "broken"))


@pytest.fixture(scope="session")
def fixed_prior(fixed_folder: Path) -> Prior:
    return load_prior(str(fixed_folder), CPU)


@pytest.fixture(scope="session")
def learned_prior(learned_folder: Path) -> Prior:
    return load_prior(str(learned_folder), CPU)


@pytest.fixture(params=["fixed", "learned"])
def prior(request: pytest.FixtureRequest) -> Prior:
    """Return either prior in turn."""
    return request.getfixturevalue(f"{request.param}_prior")


def network(key: str) -> nn.Module:
    return build_network(SPEC, key).eval().requires_grad_(False)


@pytest.fixture
def batched() -> Callable[[Prior, int], Prior]:
    """Return a function that gives a prior another limit of its batches."""
    return lambda prior, largest: dataclasses.replace(prior, micro_batches=MicroBatches(largest))


@pytest.fixture
def learner() -> nn.Module:
    return network("learner")


@pytest.fixture
def reference() -> nn.Module:
    return network("reference")


@pytest.fixture
def preprocess() -> Preprocess:
    return Preprocess([0.5, 0.4, 0.3], [0.2, 0.25, 0.3], SIZE)


@pytest.fixture
def scorer(learner: nn.Module, reference: nn.Module, preprocess: Preprocess) -> Scorer:
    return Scorer(learner, reference, preprocess, reference_weight=0.5)


@pytest.fixture
def influence(preprocess: Preprocess) -> Influence:
    """Return an influence with two checkpoints and class gradients of any direction."""
    states = [network(key).state_dict() for key in ("early", "late")]
    parameters = {name: torch.stack([state[name] for state in states]) for name in states[0]}
    values = sum(tensor[0].numel() for tensor in parameters.values())
    gradients = torch.randn(2, CLASSES, values, generator=torch.Generator().manual_seed(0))
    return Influence(network("early"), parameters, gradients, preprocess, torch.arange(CLASSES))


@pytest.fixture
def bright() -> Images:
    """Return 24 images of 3 classes told apart by brightness: easy to learn in a few epochs."""
    labels = torch.arange(CLASSES).repeat(8)
    rng = torch.Generator().manual_seed(0)
    noise = torch.randint(0, 40, (24, 3, SIZE, SIZE), generator=rng)
    images = (noise + 100 * labels.view(-1, 1, 1, 1)).to(torch.uint8)
    scale = NormaliseConfig(mean=[0.45] * 3, std=[0.3] * 3)
    return Images.on(CPU, images, labels, changed(SEEN, normalise=scale))


@pytest.fixture
def double() -> Iterator[None]:
    """Make float64 the default type, so that finite differences can be trusted."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


@pytest.fixture
def interrupt_after(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Return a function that lets the given number of saves pass and then ends the job."""

    def arm(saves: int) -> None:
        real, done = Checkpoint.save, []

        def save(self: Checkpoint, name: str, state: dict) -> None:
            real(self, name, state)
            done.append(name)
            if len(done) == saves:
                monkeypatch.setattr(Checkpoint, "save", real)
                raise KeyboardInterrupt

        monkeypatch.setattr(Checkpoint, "save", save)

    return arm


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Return a headless Chromium; without one the test is skipped."""
    binary = find_chromium()
    if binary is None:
        pytest.skip("needs Chromium, Debian's package chromium: pages are not opened")
    browser = Browser(binary, tmp_path_factory.mktemp("browser"))
    yield browser
    browser.close()

"""Whether a prior fits its data set is known from its files before any job starts."""

import contextlib
import json
import math
import shutil
from functools import cache
from pathlib import Path

import pytest
from miniature import build_prior
from safetensors.numpy import load_file, save_file

from lgd_core.base.errors import UserError
from lgd_core.config.recipes import Recipes

ROOT = Path(__file__).parents[2]
PRIOR = Path("priors/fashionmnist")
AUTOENCODER, TRANSFORMER = "vae/config.json", "transformer/config.json"
SCHEDULER, PIPELINE = "scheduler/scheduler_config.json", "model_index.json"
WEIGHTS = "diffusion_pytorch_model"


@pytest.fixture(autouse=True)
def priors(tmp_path, monkeypatch):
    """Put a copy of the shipped priors into a working directory of its own."""
    shutil.copytree(ROOT / "priors", tmp_path / "priors")
    monkeypatch.chdir(tmp_path)


@cache
def read(changes: str = "{}") -> Recipes:
    """Return the shipped recipes, with changes (JSON) to those of data sets."""
    with contextlib.chdir(ROOT):
        return Recipes(ROOT / "config", {"overrides": {"datasets": json.loads(changes)}})


def check(dataset: str = "fashionmnist", **changes: object) -> None:
    """Check the prior of a data set with changes to its recipe, as is done before any job."""
    own = {"prior": {"source": str(PRIOR)}} | changes
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Recipes, "_check_all", lambda _: None)
        recipes = read(json.dumps({dataset: own}))
    recipes.check_prior(dataset)


def change(file: str, **values: object) -> None:
    """Change keys of a configuration in the prior of Fashion-MNIST."""
    path = PRIOR / file
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def complaint(**changes: object) -> str:
    with pytest.raises(UserError) as caught:
        check(**changes)
    text = str(caught.value)
    assert "\n" not in text
    assert len(text) < 400
    return text


@pytest.mark.parametrize(
    ("file", "key", "value", "expected"),
    [
        (AUTOENCODER, "scaling_factor", 0.0, "above 0"),
        (AUTOENCODER, "scaling_factor", -0.5, "above 0"),
        (AUTOENCODER, "scaling_factor", math.nan, "finite"),
        (AUTOENCODER, "scaling_factor", math.inf, "finite"),
        (AUTOENCODER, "scaling_factor", "0.5", "number"),
        (AUTOENCODER, "shift_factor", 0.1, "null"),
        (AUTOENCODER, "latents_mean", [0.0] * 8, "null"),
        (AUTOENCODER, "latents_std", [1.0] * 8, "null"),
        (AUTOENCODER, "in_channels", 3, "expected 1, the image.channels"),
        (AUTOENCODER, "out_channels", 3, "expected 1, the image.channels"),
        (AUTOENCODER, "_class_name", "AsymmetricAutoencoderKL", "AutoencoderKL"),
        (AUTOENCODER, "block_out_channels", [], "widths"),
        (AUTOENCODER, "latent_channels", "8", "a whole number above 0"),
        (SCHEDULER, "prediction_type", "v_prediction", "epsilon"),
        (SCHEDULER, "prediction_type", "sample", "epsilon"),
        (SCHEDULER, "rescale_betas_zero_snr", True, "false"),
        (SCHEDULER, "beta_schedule", "exponential", "linear, scaled_linear"),
        (SCHEDULER, "num_train_timesteps", 20, "at least 25, the run's sampler.steps"),
        (TRANSFORMER, "_class_name", "PixArtTransformer2DModel", "DiTTransformer2DModel"),
        (TRANSFORMER, "norm_type", "ada_norm_single", "ada_norm_zero"),
        (TRANSFORMER, "out_channels", 3, "expected 8, or 16 with learned variance"),
        (TRANSFORMER, "patch_size", 2, "a divisor of 7"),
        (TRANSFORMER, "sample_size", None, "a whole number above 0"),
        (TRANSFORMER, "sample_size", 14, "expected 7 for an image.size of 28, not 56"),
    ],
)
def test_a_prior_that_would_be_sampled_wrongly_is_refused(file, key, value, expected):
    change(file, **{key: value})
    text = complaint()
    assert text.startswith(f"{PRIOR / file}: {key}: found ")
    assert expected in text


@pytest.mark.parametrize(
    ("sampler", "expected"),
    [
        ({"scheduler": "ddim", "steps": 30}, "a multiple of 30, the run's sampler.steps with"),
        ({"scheduler": "dpm-solver++", "steps": 1000}, "more than 1000, the run's sampler.steps"),
    ],
)
def test_a_prior_whose_steps_do_not_suit_a_scheduler_is_refused(sampler, expected):
    recipes = {"dit": {"sampler": sampler}, "lgd": {"window": [0, 9]}}
    text = complaint(recipes=recipes)
    where = f"{PRIOR / SCHEDULER}: num_train_timesteps: found 1000, expected "
    assert text.startswith(where + expected)
    assert text.endswith(f"with scheduler {sampler['scheduler']}")
    check(recipes={"dit": {"sampler": sampler | {"steps": 20}}, "lgd": {"window": [0, 9]}})


def test_a_prior_of_other_images_is_refused():
    text = complaint(image={"size": 8})
    assert text.startswith(f"{PRIOR / TRANSFORMER}: sample_size: found 7, expected 2")
    assert "image.size of 8, not 28" in text


def test_latents_of_transformer_and_autoencoder_must_agree():
    change(TRANSFORMER, in_channels=4, out_channels=4)
    text = complaint()
    assert f"in_channels: found 4, expected 8, the latent_channels of {PRIOR}/vae" in text


def test_another_autoencoder_is_checked_with_the_pipeline_or_alone():
    shutil.copytree(PRIOR / "vae", "other")
    path = Path("other/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scaling_factor": 0}))
    for source in (str(PRIOR), "facebook/DiT-XL-2-256"):
        text = complaint(prior={"source": source, "vae": "other"})
        assert text.startswith("other/config.json: scaling_factor: found 0, expected")


def test_a_prior_with_the_classes_in_another_order_is_refused():
    names = json.loads((PRIOR / PIPELINE).read_text())["id2label"]
    change(PIPELINE, id2label=names | {"3": names["4"], "4": names["3"]})
    text = complaint()
    assert "id2label: found 'Coat' as label 3, expected 'Dress'" in text
    check(prior={"source": str(PRIOR), "labels": [0, 1, 2, 4, 3, 5, 6, 7, 8, 9]})
    change(PIPELINE, id2label={label: f"{name}s" for label, name in names.items()})
    check()


def test_configurations_with_the_defaults_left_out_are_accepted():
    # As the hub has DiT: of diffusers 0.12, which wrote neither scaling factor nor shift.
    build_prior(Path("old"))
    for file, keys in (
        (AUTOENCODER, ["scaling_factor", "shift_factor", "latents_mean", "latents_std"]),
        (TRANSFORMER, ["num_embeds_ada_norm"]),
        (SCHEDULER, ["rescale_betas_zero_snr", "trained_betas"]),
    ):
        path = Path("old") / file
        kept = {k: v for k, v in json.loads(path.read_text()).items() if k not in keys}
        if file == TRANSFORMER:
            kept["_class_name"] = "Transformer2DModel"
        path.write_text(json.dumps(kept))
    prior = {"source": "old", "vae": None, "revision": None}
    check("imagenette", image={"size": 72, "train_size": 66}, prior=prior)


def test_a_prior_with_a_variant_of_its_weights_alone_says_so():
    weights = PRIOR / "transformer" / f"{WEIGHTS}.safetensors"
    weights.rename(weights.with_name(f"{WEIGHTS}.fp16.safetensors"))
    text = complaint()
    assert f"no transformer/{WEIGHTS}.safetensors but {WEIGHTS}.fp16.safetensors" in text
    assert "not loaded under this name" in text
    weights.with_name(f"{WEIGHTS}.fp16.safetensors").rename(weights)
    check()


@pytest.mark.parametrize("part", ["transformer", "vae"])
@pytest.mark.parametrize(
    ("content", "found"),
    [
        (lambda whole: whole[:-1000], "a broken file"),
        (lambda whole: whole[:4], "a broken file"),
        (lambda whole: b"", "a broken file"),
        (lambda whole: b"version https://git-lfs.github.com/spec/v1\noid 1", "Git LFS"),
    ],
)
def test_weights_that_are_not_whole_are_found_at_once(part, content, found):
    weights = PRIOR / part / f"{WEIGHTS}.safetensors"
    weights.write_bytes(content(weights.read_bytes()))
    text = complaint()
    assert text.startswith(f"{weights}: found ")
    assert found in text


def shard(part: Path) -> list[Path]:
    """Split the weights of a component in two, with the index that diffusers writes."""
    path = part / f"{WEIGHTS}.safetensors"
    tensors = load_file(path)
    path.unlink()
    names = [sorted(tensors)[::2], sorted(tensors)[1::2]]
    files = [part / f"{WEIGHTS}-0000{n}-of-00002.safetensors" for n in (1, 2)]
    index = {}
    for file, own in zip(files, names, strict=True):
        save_file({name: tensors[name] for name in own}, file, {"format": "pt"})
        index |= dict.fromkeys(own, file.name)
    (part / f"{WEIGHTS}.safetensors.index.json").write_text(json.dumps({"weight_map": index}))
    return files


def test_every_shard_must_be_there():
    files = shard(PRIOR / "transformer")
    check()
    files[1].unlink()
    text = complaint()
    assert text.startswith(f"{files[1]}: found a file that cannot be read (No such file")
    index = PRIOR / "transformer" / f"{WEIGHTS}.safetensors.index.json"
    index.write_text("{}")
    assert complaint().startswith(f"{index}: found no weight_map")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more"])
def test_weights_in_torch_s_own_format_that_are_cut_off(content):
    weights = PRIOR / "vae" / f"{WEIGHTS}.safetensors"
    weights.unlink()
    weights.with_suffix(".bin").write_bytes(content)
    text = complaint()
    assert text.startswith(f"{weights.with_suffix('.bin')}: found a file that has been cut off")


@pytest.mark.parametrize("content", ["{", "[]", "\udcff"])
@pytest.mark.parametrize("file", [AUTOENCODER, TRANSFORMER, SCHEDULER])
def test_configurations_that_are_none(file, content):
    (PRIOR / file).write_bytes(content.encode(errors="surrogateescape"))
    assert complaint().startswith(f"{PRIOR / file}: cannot be read, expected")

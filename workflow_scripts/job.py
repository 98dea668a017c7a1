"""The common part of all scripts: log, threads, device, resumption, one-line errors."""

import contextlib
import os
import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO, TypeVar

from lgd_core.base.attempts import computed_once
from lgd_core.base.digests import fingerprint
from lgd_core.base.errors import UserError
from lgd_core.base.files import read_json
from lgd_core.base.folders import expand_path
from lgd_core.base.image_files import LITTER_KIND
from lgd_core.base.image_files import describe as describe_files
from lgd_core.base.leases import lease, lease_folder
from lgd_core.base.logs import open_log
from lgd_core.base.owners import clear, owning
from lgd_core.base.provenance import COMPUTING_PACKAGES, processor, stamp, versions
from lgd_core.base.stopping import Stopped, StopRequest
from lgd_core.base.system_errors import remedy, system_error
from lgd_core.base.watching import WATCHED

# Importing PyTorch takes seconds, and jobs that only gather results or draw do not need it.
if TYPE_CHECKING:
    import torch

    from lgd_core.base.checkpoints import Checkpoint
    from lgd_core.config.models.base import Config
    from lgd_core.data.real_images import RealImages

Model = TypeVar("Model", bound="Config")


@dataclass
class Job:
    """A Snakemake job; ``settings`` are the parameters that its result depends on.

    ``named`` is the name of its rule where that is not the one of its stage.
    At the end of the script ``held`` releases what the job holds, such as its GPU. ``origins`` has
    the prior and the networks that the job uses, for the stamp of its outputs. ``stop`` says
    whether a signal has asked the job to stop.
    """

    snakemake: object
    named: str = ""
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    origins: dict = field(default_factory=dict)
    stop: StopRequest = field(default_factory=StopRequest)

    @property
    def settings(self) -> dict[str, Any]:
        return self.snakemake.params.settings

    @property
    def name(self) -> str:
        """The name of the rule here, whatever a workflow that imports the rule calls it."""
        return self.named or self.settings["stage"]

    def read(self, key: str, model: type[Model]) -> Model:
        """Return the settings under a key as a model of lgd_core.config."""
        return model.model_validate(self.settings[key])

    def pick(self, model: type[Model]) -> Model:
        """Return a model made from those keys of the settings that it has."""
        return model.model_validate({key: self.settings[key] for key in model.model_fields})

    @cached_property
    def device(self) -> "torch.device":
        """The device for tensors; its first use reserves a GPU, after waiting for one if needed."""
        import torch

        from lgd_core.base.devices import cuda_cards, resolve_device

        device = resolve_device(self.snakemake.config["device"])
        if device.type == "cuda":
            index = self.held.enter_context(lease(cuda_cards(), lease_folder(), self.log))
            device = torch.device("cuda", index)
            torch.cuda.set_device(device)
            torch.set_float32_matmul_precision("high")  # TF32, the default of convolutions
            torch.backends.cudnn.deterministic = True  # a resumed job must give the same bytes
        self.log(f"device: {device}")
        return device

    @cached_property
    def fingerprint(self) -> str:
        """Digest of what the result depends on: rule, wildcards, settings, inputs, threads."""
        facts = {
            "rule": self.name,
            "wildcards": dict(self.snakemake.wildcards.items()),
            "settings": self.settings,
            "threads": self.snakemake.threads,
        }
        # The record of a model has the digest of its folder.
        inputs = self.snakemake.input
        known = {path for name in STORED for path in paths_of(inputs.get(name) or [])}
        return fingerprint(facts, (path for path in inputs if path not in known))

    def place_of(self, name: str) -> str:
        """Return where a file or folder of results lies, which is elsewhere in object storage."""
        return next((path for path in self.snakemake.input if path.endswith(f"/{name}")), name)

    @property
    def precision(self) -> dict:
        """Return the precision of networks and of a prior, without reserving a GPU."""
        from lgd_core.base.devices import computes_in_half, device_kind, network_precision

        config = self.snakemake.config
        kind = device_kind(config["device"])
        networks = network_precision(kind)
        half = computes_in_half(config["precision"], kind)
        return {"networks": networks, "prior": "bf16" if half else networks}

    @property
    def checkpoints(self) -> Path:
        """Folder of this job's checkpoints for any parameters, named by rule and wildcards.

        It is deleted when the job has its result. While the job runs, no other job may use it.
        """
        # The name of a run may have a slash: the folder would lie in that of another job.
        known = self.snakemake.wildcards.items()
        wildcards = (f"{name}={value}".replace("/", "%") for name, value in known)
        folder = expand_path(self.snakemake.config["checkpoint_folder"], "checkpoint_folder")
        return Path(folder) / ",".join([self.name, *wildcards])

    @cached_property
    def checkpoint(self) -> "Checkpoint":
        """Checkpoint for this fingerprint, kind of device, precision and package versions."""
        from lgd_core.base.checkpoints import Checkpoint
        from lgd_core.base.devices import device_kind

        config, known = self.snakemake.config, versions()
        key = {
            "job": self.fingerprint,
            "device": device_kind(config["device"]),
            "precision": self.precision,
            "versions": {name: known[name] for name in COMPUTING_PACKAGES},
        }
        folder = self.checkpoints / fingerprint(key)
        return Checkpoint(folder, config["checkpoint_seconds"], self.stop)

    def real_images(self, array: str | Path) -> "RealImages":
        """Return the data set's real images; ``array`` is one of their arrays, of the inputs.

        The rule has the data set's source among its parameters, since training images may be files.
        """
        from lgd_core.config.models.dataset import SourceConfig
        from lgd_core.config.sources import images_root
        from lgd_core.data.real_images import RealImages

        folder, threads = Path(array).parent, self.snakemake.threads
        source = SourceConfig.model_validate(self.snakemake.params.source)
        # With one thread a job decodes by itself: another process would need another core.
        return RealImages(
            folder, images_root(source, folder / "raw"), threads if threads > 1 else 0
        )

    def log(self, message: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)

    def stamp(self, **facts: object) -> dict:
        """Return the record of how an artifact was made; no times, so reruns give equal bytes."""
        recipe = {"recipe": self.settings, "fingerprint": self.fingerprint}
        own = recipe | self.origins | dict(self.snakemake.wildcards.items()) | facts
        stamped = stamp(**self._place(), **own)
        if "prior" in self.origins:
            stamped["precision"]["prior"] = self.precision["prior"]
        return stamped

    def _place(self) -> dict[str, str]:
        """Return the device, hardware and precision for the stamp."""
        if "device" in vars(self):
            from lgd_core.base.devices import describe

            return describe(self.device)
        # A job that has not used the device has computed on the CPU; a use now might reserve a GPU.
        return {
            "device": "cpu",
            "hardware": processor(self.snakemake.threads),
            "precision": "fp32",
        }


# Inputs that are folders of trained models, see stored_prior in rules/common/prior.smk.
STORED = ("stored", "stored_decoder")
# Keys of a prior's record about its origin.
PRIOR_ORIGIN = ("recipe", "contents", "frequency_shift")
# Keys of the record of a phase in which a prior was tuned.
PHASE_ORIGIN = ("recipe", "fingerprint", "phase", "phases")


def prior_contents(folders: dict[str, str]) -> str:
    """Return a digest of the configurations and weights in the folders of a prior or of a part."""
    from lgd_core.config.prior_files import model_files  # with pydantic, which few jobs need

    return fingerprint(None, (path for folder in folders.values() for path in model_files(folder)))


def open_prior(job: Job):
    """Load the prior that fetch_prior found, with the run's precision, batch size etc.

    If the job has inputs ``tuned``, their phases are loaded too. Raises UserError if the prior's
    files have changed since then, or if phases do not fit the prior.
    """
    # diffusers takes seconds that other jobs do not need
    from lgd_core.diffusion.phases import load_phase
    from lgd_core.diffusion.priors import load_prior

    config = job.snakemake.config
    facts = read_json(job.snakemake.input.prior)
    folders = {name: job.place_of(folder) for name, folder in facts["folders"].items()}
    require_unchanged(folders, facts, job.snakemake.input.prior)
    job.origins["prior"] = {key: facts[key] for key in PRIOR_ORIGIN if key in facts}
    prior = load_prior(
        folders["pipeline"],
        job.device,
        vae=folders.get("vae"),
        frequency_shift=facts["frequency_shift"],
        max_batch=config["max_batch"],
        precision=config["precision"],
        compiled=config["compile"],
        gradient_checkpointing=config["gradient_checkpointing"],
    )
    tuned = job.snakemake.input.get("tuned", [])
    if not tuned:
        return prior
    phases = [load_phase(path, prior.transformer, facts) for path in tuned]
    job.origins["prior"]["phases"] = [
        {key: metadata[key] for key in PHASE_ORIGIN} for _, metadata in phases
    ]
    return replace(prior, phases=tuple(phase for phase, _ in phases))


def open_small_decoder(job: Job):
    """Load the small decoder that fetch_small_decoder found, after its prior.

    Raises UserError if its files have changed since then.
    """
    from lgd_core.diffusion.small_decoder import load_small_decoder

    record = job.snakemake.input.small_decoder
    facts = read_json(record)
    folder = job.place_of(facts["folder"])
    require_unchanged({"small_decoder": folder}, facts, record)
    job.origins["prior"]["small_decoder"] = {key: facts[key] for key in ("recipe", "contents")}
    return load_small_decoder(folder, job.device, job.snakemake.config["precision"])


def require_unchanged(folders: dict[str, str], facts: dict, record: str) -> None:
    """Raise UserError unless a model's files are those whose contents a record has."""
    if prior_contents(folders) != facts["contents"]:
        raise UserError(
            f"{next(iter(folders.values()))}: found other files than those recorded in {record}, "
            "expected the model unchanged; delete both, or the latter alone if the model is "
            "correct, and run again"
        )


def paths_of(path: str | Sequence[str]) -> list[str]:
    """Return the path or paths of one input as a list."""
    return [path] if isinstance(path, str) else list(path)


def note(job: Job, text: str) -> None:
    """Print an important message to the log and, for the run or a user, to the terminal."""
    job.log(f"note: {text}")
    if not os.environ.get(WATCHED):
        print(f"note: {text}", file=sys.__stderr__)


def note_left_out(job: Job, summary: dict[str, dict]) -> None:
    """Print which files beside images are not read; also to the terminal, unless all is litter."""
    if text := describe_files(summary):
        say = job.log if set(summary) == {LITTER_KIND} else partial(note, job)
        say(f"{job.snakemake.rule}: left out {text}")


def _log_of(snakemake: object) -> TextIO:
    try:
        return open_log(Path(snakemake.log[0]))
    except OSError as error:
        place = f"{snakemake.log[0]}: cannot be written ({error.strerror})"
        sys.exit(f"error: {place}; {remedy(error)}")


@contextlib.contextmanager
def running(snakemake: object, named: str = "") -> Iterator[Job]:
    """Run a script's body as a job; a UserError ends it with one line and status 1.

    Further attempts of the same call of Snakemake then end with that line too. ``named`` is as in
    Job.

    SIGTERM and SIGINT end it with one line and status 143 or 130: at the next checkpoint, or at
    once if it has none. It does not start while another job uses its folder of checkpoints.
    """
    job = Job(snakemake, named)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(snakemake.threads)
    # Added to at first: it may be the log of a job that still runs.
    with _log_of(snakemake) as stream, job.held:
        try:
            with (
                job.stop.heeded(),
                contextlib.redirect_stderr(stream),
                contextlib.redirect_stdout(stream),
            ):
                taken = job.held.enter_context(owning(job.checkpoints, partial(note, job)))
                with computed_once(job.checkpoints):
                    stream.truncate(0)
                    if taken:
                        job.log(taken)
                    job.log(f"{snakemake.rule}: {snakemake.threads} threads")
                    yield job
                clear(job.checkpoints)
                job.log("done")
        except Stopped as stopped:
            print(stopped, file=stream)
            if not os.environ.get(WATCHED):
                print(f"{snakemake.rule}: {stopped}", file=sys.stderr)
            sys.exit(stopped.status)
        except UserError as error:
            print(f"error: {error}", file=stream)
            sys.exit(1 if os.environ.get(WATCHED) else f"error: {error}")
        except Exception as error:
            traceback.print_exc(file=stream)
            system = system_error(error)
            if system is None:
                raise
            what = system.filename or snakemake.rule
            sys.exit(f"error: {what}: {system.strerror}; {remedy(system)}")

"""What every script of the workflow shares: log, threads, device, resumption, one-line errors."""

import contextlib
import json
import sys
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path

import torch

from lgd_core.errors import UserError
from lgd_core.image_files import LITTER_KIND, describe
from lgd_core.leases import lease, lease_folder
from lgd_core.runtime import Resume, cuda_cards, fingerprint, resolve_device, stamp


@dataclass
class Job:
    """A Snakemake job as the library sees it; ``hp`` holds its parameters.

    ``held`` ends with the script, and what the job holds, such as its GPU, with it.
    """

    snakemake: object
    held: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    @property
    def hp(self) -> dict:
        return self.snakemake.params.hp

    @cached_property
    def device(self) -> torch.device:
        """Where tensors live. A GPU is this job's alone from the first use on: may wait for one."""
        device = resolve_device(self.snakemake.config["device"])
        if device.type == "cuda":
            index = self.held.enter_context(lease(cuda_cards(), lease_folder(), self.log))
            device = torch.device("cuda", index)
            torch.cuda.set_device(device)
            torch.set_float32_matmul_precision("high")  # TF32, as convolutions have by default
            torch.backends.cudnn.deterministic = True  # a resumed job must give the same bytes
        self.log(f"device: {device}")
        return device

    @cached_property
    def fingerprint(self) -> str:
        """Digest of rule, wildcards, parameters, inputs and threads: what decides the result."""
        facts = {
            "rule": self.snakemake.rule,
            "wildcards": dict(self.snakemake.wildcards.items()),
            "hp": self.hp,
            "threads": torch.get_num_threads(),
        }
        return fingerprint(facts, self.snakemake.input)

    @cached_property
    def resume(self) -> Resume:
        folder = Path("results/.resume") / f"{self.snakemake.rule}-{self.fingerprint}"
        return Resume(folder, self.snakemake.config["checkpoint_seconds"])

    def log(self, message: str) -> None:
        print(f"{time.strftime('%H:%M:%S')} {message}", file=sys.stderr, flush=True)

    def stamp(self, **facts: object) -> dict:
        """Return the evidence an artifact carries; no times, so that reruns give equal bytes."""
        # A job that never asked for the device worked on the CPU, and needs no GPU to say so.
        device = vars(self).get("device", torch.device("cpu"))
        recipe = {"recipe": self.hp, "fingerprint": self.fingerprint}
        return stamp(device, **recipe, **dict(self.snakemake.wildcards.items()), **facts)


def open_prior(job: Job):
    """Load the prior that fetch_prior found, as the run's configuration wants it computed."""
    from lgd_core.priors import load_prior  # diffusers takes seconds that other jobs do not need

    config = job.snakemake.config
    facts = json.loads(Path(job.snakemake.input.prior).read_text())
    return load_prior(
        facts["folders"]["pipeline"],
        job.device,
        vae=facts["folders"].get("vae"),
        frequency_shift=facts["frequency_shift"],
        max_batch=config["max_batch"],
        precision=config["precision"],
        compiled=config["compile"],
        gradient_checkpointing=config["gradient_checkpointing"],
    )


def note(job: Job, text: str) -> None:
    """Say something that must not be overlooked: in the log, and on the terminal."""
    job.log(text)
    print(f"note: {text}", file=sys.__stderr__)


def note_left_out(job: Job, summary: dict[str, dict]) -> None:
    """Say which files beside images are not read; on the terminal, unless all is litter."""
    if text := describe(summary):
        say = job.log if set(summary) == {LITTER_KIND} else partial(note, job)
        say(f"{job.snakemake.rule}: left out {text}")


@contextlib.contextmanager
def running(snakemake: object) -> Iterator[Job]:
    """Run a script's body as a job; where the user is at fault, end with one line and status 1."""
    job = Job(snakemake)
    torch.set_num_threads(snakemake.threads)
    log = Path(snakemake.log[0])
    log.parent.mkdir(parents=True, exist_ok=True)
    with open(log, "w", buffering=1) as stream, job.held:
        try:
            with contextlib.redirect_stderr(stream), contextlib.redirect_stdout(stream):
                job.log(f"{snakemake.rule}: {torch.get_num_threads()} threads")
                yield job
                job.resume.clear()
                job.log("done")
        except UserError as error:
            print(f"error: {error}", file=stream)
            sys.exit(f"error: {error}")
        except Exception:
            traceback.print_exc(file=stream)
            raise

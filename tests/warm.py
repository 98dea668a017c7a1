"""Snakemake and its jobs as forks of a process that has imported the libraries already.

PyTorch and diffusers take 4 to 8 s to import, several times what the jobs of these tests compute.
Tests that kill jobs call Snakemake as users do, and compare the results with those of forks byte by
byte. LGD_COLD_TESTS=1 makes all tests do so.
"""

import atexit
import json
import os
import runpy
import socket
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

# Of the project itself nothing, since some tests have an edited copy of it.
LIBRARIES = (
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.models.transformers.dit_transformer_2d",
    "diffusers.pipelines.dit.pipeline_dit",
    "jsonschema",
    "matplotlib.pyplot",
    "pydantic",
    "snakemake.cli",
    "timm.utils.model_ema",
    "torchvision.transforms.v2",
)

# What Snakemake and rules/common.smk set for jobs of one thread, read when a process starts.
MALLOC = {"MMAP_MAX": "0", "TRIM_THRESHOLD": str(10**11), "TOP_PAD": str(2**28)}
STARTED_WITH = {f"MALLOC_{name}_": value for name, value in MALLOC.items()}
STARTED_WITH |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}


class Warm:
    """The process that forks, seen from the tests."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            command = [sys.executable, __file__, str(theirs.fileno())]
            known = os.environ | STARTED_WITH
            self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(),), env=known)
        self.stream = ours.makefile("rw")
        ours.close()

    def close(self) -> None:
        """End the process, which sees that nobody will call it any more."""
        self.stream.close()
        self.process.wait()

    def snakemake(
        self, words: list[str], folder: Path, env: dict[str, str]
    ) -> subprocess.CompletedProcess[str]:
        """Call Snakemake in a folder and return what it printed, as subprocess.run does."""
        with tempfile.TemporaryDirectory() as scratch:
            printed = [Path(scratch, name) for name in ("stdout", "stderr")]
            call = {"words": words, "folder": str(folder), "env": env}
            print(json.dumps(call | {"printed": [str(path) for path in printed]}), file=self.stream)
            self.stream.flush()
            code = int(self.stream.readline())
            texts = [path.read_text() for path in printed]
        return subprocess.CompletedProcess(["snakemake", *words], code, *texts)


def serve(stream: Any) -> None:
    """Answer calls one by one, each with the exit status of the Snakemake it asked for."""
    for line in stream:
        call = json.loads(line)
        _, status = os.waitpid(fork(lambda call=call: supervise(call)), 0)
        print(os.waitstatus_to_exitcode(status), file=stream, flush=True)


def fork(work: Callable[[], int]) -> int:
    """Return the number of a new process that does the work and exits with what it returns."""
    process = os.fork()
    if process == 0:
        leave(work)
    return process


def leave(work: Callable[[], int]) -> NoReturn:
    """Do the work, then end the process as the interpreter would."""
    try:
        code = work()
    except SystemExit as stop:
        code = stop.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def become(words: list[str], first: str, folder: str, env: dict[str, str]) -> None:
    """Take over the arguments, the search path, the folder and the environment of a program."""
    atexit._clear()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(env)
    sys.argv = words
    sys.path[0:1] = [first, *filter(None, env.get("PYTHONPATH", "").split(os.pathsep))]


def supervise(call: dict[str, Any]) -> int:
    """Run Snakemake in a process beside, fork the jobs that it asks for, return its exit status.

    This process has one thread, whatever Snakemake has, and can be forked at any time.
    """
    for descriptor, path in enumerate(call["printed"], 1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), descriptor)
    with socket.socket(socket.AF_UNIX) as orders, tempfile.TemporaryDirectory() as scratch:
        address = str(Path(scratch, "orders"))
        orders.bind(address)
        orders.listen()
        orders.settimeout(0.02)
        snakemake = fork(lambda: run_snakemake(call, address))
        waiting: dict[int, socket.socket] = {}
        while True:
            try:
                connection, _ = orders.accept()
            except TimeoutError:
                pass
            else:
                connection.setblocking(True)
                job = fork(lambda connection=connection: run_job(connection))
                connection.sendall(b"%d\n" % job)
                waiting[job] = connection
            ended, status = os.waitpid(-1, os.WNOHANG)
            if ended == snakemake:
                return os.waitstatus_to_exitcode(status)
            if ended:
                with waiting.pop(ended) as connection:
                    connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


def run_snakemake(call: dict[str, Any], address: str) -> int:
    """Be `python -m snakemake`, whose Python scripts are orders to an address."""
    from snakemake import cli
    from snakemake.benchmark import benchmarked
    from snakemake.script import PythonScript

    def order(script: PythonScript, name: str, edit: bool = False) -> None:
        threads = str(script.threads)
        env = os.environ | {"OMP_NUM_THREADS": threads, "OPENBLAS_NUM_THREADS": threads}
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(address)
            with connection.makefile("rw") as stream:
                print(json.dumps([name, os.getcwd(), env]), file=stream, flush=True)
                job, record = int(stream.readline()), script.bench_record
                with nullcontext() if record is None else benchmarked(job, record):
                    code = int(stream.readline())
        if code:
            raise subprocess.CalledProcessError(code, name)

    PythonScript.execute_script = order
    become(["snakemake", *call["words"]], call["folder"], call["folder"], call["env"])
    cli.main()
    return 0


def run_job(connection: socket.socket) -> int:
    """Be `python script`, as an order says."""
    with connection.makefile("r") as stream:
        name, folder, env = json.loads(stream.readline())
    become([name], str(Path(name).parent), folder, env)
    runpy.run_path(name, run_name="__main__")
    return 0


def main() -> None:
    for name in LIBRARIES:
        import_module(name)
    with socket.socket(fileno=int(sys.argv[1])) as control, control.makefile("rw") as stream:
        serve(stream)


if __name__ == "__main__":
    main()

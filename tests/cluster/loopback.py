"""A real Slurm on this machine: a controller and two nodes on loopback, in one folder.

Without systemd and cgroups, with accounts if asked for. Nodes have more cores and memory than the
machine, and a GPU that is /dev/null: this Slurm schedules, starts, signals and ends jobs as any
other, but enforces nothing. A node has its own name and its own processes, which end with it.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd")
KEEPING_ACCOUNTS = ("mariadbd", "slurmdbd")
NODES = ("node1", "node2")
# A host name and processes of its own: they end when the first of them does.
ALONE = ("unshare", "--uts", "--pid", "--mount-proc", "--fork", "--kill-child")
PARTITION = "short"

# Times are shorter than on a cluster. The rest is what Slurm needs here.
SETTINGS = """\
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=30
CryptoType=crypto/munge
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/none
JobCompType=jobcomp/none
ReturnToService=2
SlurmctldPort={port}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdPidFile={folder}/%n.pid
SlurmdLogFile={folder}/%n.log
SlurmdSpoolDir={folder}/%n
SlurmdParameters=config_overrides
StateSaveLocation={folder}/state
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=1,sched_interval=2,bf_interval=2,sched_min_interval=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
MinJobAge=7200
InactiveLimit=0
KillWait=30
GresTypes=gpu
PartitionName={partition} Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NO_ACCOUNTS = "AccountingStorageType=accounting_storage/none\n"
ACCOUNTS = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={port}
AccountingStoragePass={folder}/munge.socket
"""
# Of slurmdbd, which keeps the accounts in a database of MariaDB.
KEEPER = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={port}
SlurmUser=root
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={database}
StorageUser=root
"""
NODE = (
    "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=32 Boards=1 "
    "SocketsPerBoard=1 CoresPerSocket=32 ThreadsPerCore=1 RealMemory=256000 Gres=gpu:1\n"
)


def missing(programs: tuple[str, ...] = PROGRAMS) -> str:
    """Return in words why Slurm cannot run here; empty if it can."""
    if absent := [name for name in programs if find(name) is None]:
        return f"needs packages of Slurm (docs/extending.md): found no {', '.join(absent)}"
    if os.getuid() != 0:
        return "needs to be root, as whom nodes start jobs"
    if subprocess.run([*ALONE, "hostname", NODES[0]], capture_output=True).returncode:
        return "needs to give nodes host names and processes of their own (unshare)"
    return ""


def find(program: str) -> str | None:
    """Return the path of a program, which may lie where only root's shells look."""
    return shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")


def free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_until(found: Callable[[], object], what: str, seconds: float = 120.0) -> None:
    """Wait until a function returns something true; fail with words if it takes too long."""
    end = time.monotonic() + seconds
    while not found():
        assert time.monotonic() < end, f"not within {seconds:.0f} s: {what}"
        time.sleep(0.05)


@dataclass
class Slurm:
    """A cluster in a folder; ``env`` is the environment of its users."""

    folder: Path
    accounts: bool = False
    keeper_port: int = field(default_factory=lambda: free_port())
    env: dict[str, str] = field(default_factory=dict[str, str])
    stack: ExitStack = field(default_factory=ExitStack)
    nodes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __enter__(self) -> "Slurm":
        with ExitStack() as stack:
            self._write_settings()
            self.stack = stack
            self._start()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        self.stack.close()

    def _write_settings(self) -> None:
        """Write the configuration, and an srun that finds it.

        The plugin's jobs start srun without the variables of Slurm. Elsewhere than in /etc it would
        not find its configuration then.
        """
        self.folder.mkdir()
        (self.folder / "state").mkdir()
        host, path = socket.gethostname(), self.folder / "slurm.conf"
        known = {"folder": self.folder, "host": host, "partition": PARTITION}
        text = SETTINGS.format(**known, port=free_port())
        accounts = ACCOUNTS if self.accounts else NO_ACCOUNTS
        text += accounts.format(**known, port=self.keeper_port)
        nodes = [NODE.format(name=name, host=host, port=free_port()) for name in NODES]
        path.write_text(text + "".join(nodes))
        gpus = [f"NodeName={name} Name=gpu File=/dev/null\n" for name in NODES]
        (self.folder / "gres.conf").write_text("".join(gpus))
        srun = self.folder / "bin" / "srun"
        srun.parent.mkdir()
        srun.write_text(f'#!/bin/sh\nSLURM_CONF={path} exec {find("srun")} "$@"\n')
        srun.chmod(0o755)
        self.env = os.environ | {"SLURM_CONF": str(path)}
        programs = [str(srun.parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        self.env["PATH"] = os.pathsep.join(programs)

    def _start(self) -> None:
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        files = {"key-file": "munge.key", "seed-file": "munge.seed", "pid-file": "munge.pid"}
        places = {"socket": "munge.socket", "log-file": "munge.log"} | files
        words = [f"--{option}={self.folder / name}" for option, name in places.items()]
        self._daemon("munged", "--foreground", "--force", "--num-threads=4", *words)
        wait_until((self.folder / "munge.socket").exists, "munge's socket")
        if self.accounts:
            self._keep_accounts()
        self._daemon("slurmctld", "-D")
        for node in NODES:
            self._start_node(node)
        self.stack.callback(self.cancel_all)
        self._wait_for_nodes()

    def _start_node(self, node: str) -> None:
        self.nodes[node] = self._daemon("slurmd", "-D", "-N", node, host=node)

    def _wait_for_nodes(self) -> None:
        wait_until(lambda: self.states() == {"idle"}, f"idle nodes; logs are in {self.folder}")

    def break_node(self, node: str) -> None:
        """End all processes of a node as a loss of power would; Slurm is told at once."""
        self.nodes[node].kill()
        self.nodes[node].wait()
        self.tell("scontrol", "update", f"NodeName={node}", "State=DOWN", "Reason=test")

    def mend_node(self, node: str) -> None:
        """Start a node again, and wait until both have nothing to do."""
        self._start_node(node)
        self.tell("scontrol", "update", f"NodeName={node}", "State=RESUME")
        self._wait_for_nodes()

    def _keep_accounts(self) -> None:
        """Start a database in the folder, and the daemon that writes to it."""
        files, socket_file, port = self.folder / "database", self.folder / "db.socket", free_port()
        made = ["mariadb-install-db", "--auth-root-authentication-method=normal", "--user=root"]
        self.tell(*made, "--skip-test-db", f"--datadir={files}")
        places = [f"--datadir={files}", f"--socket={socket_file}", f"--port={port}"]
        run = ["--no-defaults", "--user=root", "--bind-address=127.0.0.1"]
        self._daemon("mariadbd", *run, *places)
        wait_until(socket_file.exists, "the database")
        known = {"folder": self.folder, "host": socket.gethostname(), "port": self.keeper_port}
        path = self.folder / "slurmdbd.conf"
        path.write_text(KEEPER.format(**known, database=port))
        path.chmod(0o600)
        self._daemon("slurmdbd", "-D")
        wait_until(lambda: self.ask("sacctmgr", "--noheader", "list", "qos"), "slurmdbd")

    def _daemon(self, program: str, *words: str, host: str = "") -> subprocess.Popen[bytes]:
        """Start a program that ends with this process, maybe on a host of its own."""
        command = [find(program) or program, *words]
        if host:
            # The shell takes leave of processes whose parents have ended, as an init does.
            named = f'hostname {host} && "$@" & wait $!'
            command = [*ALONE, "sh", "-c", named, "sh", *command]
        end = signal.SIGKILL if host else signal.SIGTERM  # unshare waits for its processes
        with open(self.folder / f"{host or program}.printed", "w") as printed:
            process = subprocess.Popen(
                ["setpriv", "--pdeathsig", end.name.removeprefix("SIG"), *command],
                stdout=printed,
                stderr=printed,
                env=self.env,
                start_new_session=True,
            )
        self.stack.callback(process.wait)
        self.stack.callback(process.send_signal, end)
        return process

    def states(self) -> set[str]:
        """Return the states that nodes are in."""
        return set(self.ask("sinfo", "--noheader", "--Node", "--format=%T").split())

    def ask(self, *words: str) -> str:
        """Return what one of Slurm's commands prints; nothing if it fails."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def tell(self, *words: str) -> None:
        """Call one of Slurm's commands, which is to succeed."""
        done = subprocess.run(words, env=self.env, capture_output=True, text=True)
        assert done.returncode == 0, f"{words}: {done.stdout}{done.stderr}"

    def job(self, number: str) -> dict[str, str]:
        """Return what Slurm knows of a job."""
        return next(job for job in self._jobs() if job["JobId"] == number)

    def jobs(self, project: Path) -> list[dict[str, str]]:
        """Return all jobs of a project so far, by their numbers."""
        found = [job for job in self._jobs() if job["WorkDir"] == str(project)]
        return sorted(found, key=lambda job: int(job["JobId"]))

    def _jobs(self) -> list[dict[str, str]]:
        lines = self.ask("scontrol", "--oneliner", "show", "job").splitlines()
        words = [[word for word in line.split() if "=" in word] for line in lines]
        return [dict(word.split("=", 1) for word in known) for known in words if known]

    def cancel_all(self) -> None:
        """End all jobs, also those that would outlive their node's daemon."""
        self.ask("scancel", "--user=root", "--signal=KILL", "--full")
        self.ask("scancel", "--user=root")
        wait_until(lambda: not self.ask("squeue", "--noheader").strip(), "no jobs", 60)

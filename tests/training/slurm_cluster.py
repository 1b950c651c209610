"""A real Slurm on this machine: munged, slurmctld and two slurmd in a folder, and nothing of it left afterwards."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NODES = ("one", "two")
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol", "scancel")

# A requeued job waits until its former credential has expired: 120 seconds by default.
SETTINGS = """
ClusterName=headwater
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ports[0]}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool-%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd-%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerType=sched/builtin
SchedulerParameters=sched_interval=1
JobAcctGatherType=jobacct_gather/none
MpiDefault=none
ReturnToService=2
NodeName=one NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[1]} CPUs=2
NodeName=two NodeHostname={host} NodeAddr=127.0.0.1 Port={ports[2]} CPUs=2
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def why_not() -> str | None:
    """Why Slurm cannot be started here; None where it can."""
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not found: apt-get install slurm-wlm munge"
    return "slurmd starts the ranks of any user, and so needs root" if os.geteuid() != 0 else None


class Cluster:
    """Commands of a running Slurm."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {**os.environ, "SLURM_CONF": str(folder / "slurm.conf")}

    def command(self, *words: str, code: int = 0, cwd: Path | None = None, **variables: str) -> str:
        """Standard output of one of Slurm's commands, which must end with `code`."""
        done = subprocess.run(
            words, cwd=cwd, env={**self.environment, **variables}, capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{words}: {done.stderr}"
        return done.stdout

    def job(self, number: str) -> dict[str, str]:
        """What Slurm knows of a job."""
        return dict(
            field.split("=", 1)
            for field in self.command("scontrol", "show", "--oneliner", "job", number).split()
            if "=" in field
        )


@contextmanager
def start_cluster(folder: Path) -> Iterator[Cluster]:
    """A cluster of two nodes that takes jobs."""
    cluster = Cluster(folder)
    (folder / "state").mkdir()
    (folder / "munge.key").write_bytes(os.urandom(1024))
    (folder / "munge.key").chmod(0o600)
    (folder / "slurm.conf").write_text(
        SETTINGS.format(host=socket.gethostname().split(".")[0], folder=folder, ports=_free_ports(3))
    )
    munge = [
        f"--{name}={folder}/{file}"
        for name, file in (("socket", "munge.socket"), ("key-file", "munge.key"), ("pid-file", "munged.pid"))
    ]
    munge += [f"--{name}={folder}/{file}" for name, file in (("seed-file", "munge.seed"), ("log-file", "munged.log"))]
    daemons: list[subprocess.Popen[bytes]] = []

    def start(*words: str) -> None:
        with (folder / f"{words[0]}-{len(daemons)}.log").open("wb") as log:
            daemons.append(
                subprocess.Popen(
                    words, env=cluster.environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
                )
            )

    try:
        start("munged", "--foreground", "--force", *munge)
        _wait_until(lambda: (folder / "munge.socket").exists(), folder)
        start("slurmctld", "-D")
        for node in NODES:
            start("slurmd", "-D", "-N", node)
        _wait_until(lambda: _idle_nodes(cluster) == len(NODES), folder)
        yield cluster
        cluster.command("scancel", "--user=root")
        _wait_until(lambda: not cluster.command("squeue", "--noheader"), folder)
    finally:
        for daemon in reversed(daemons):
            daemon.terminate()
        for daemon in daemons:
            try:
                daemon.wait(timeout=20)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()


def _idle_nodes(cluster: Cluster) -> int:
    found = subprocess.run(
        ("sinfo", "--noheader", "--Node", "--format=%t"),
        env=cluster.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return found.stdout.split().count("idle")


def _wait_until(condition, folder: Path, seconds: float = 60) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + seconds
    while not condition():
        logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in folder.glob("*.log"))
        assert time.monotonic() < deadline, f"Slurm did not get there:\n{logs}"
        time.sleep(0.1)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports

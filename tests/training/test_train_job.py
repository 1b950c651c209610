"""The Kubernetes example, as far as it can be checked without a cluster: its parts fit together, and torchrun takes
its arguments."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

JOB = Path(__file__).resolve().parents[2] / "docker" / "train-job.yaml"


@pytest.fixture(scope="module")
def service_and_job() -> tuple[dict[str, Any], dict[str, Any]]:
    service, job = yaml.safe_load_all(JOB.read_text(encoding="utf-8"))
    return service, job


def command_of(job: dict[str, Any], index: int) -> list[str]:
    """The words that the shell of the pod with this index runs."""
    (container,) = job["spec"]["template"]["spec"]["containers"]
    variables = {"JOB_COMPLETION_INDEX": str(index), **{entry["name"]: entry["value"] for entry in container["env"]}}
    assert container["command"] == ["/bin/sh", "-c"]
    script = container["args"][0].replace("exec torchrun", "printf '%s\\n'", 1)
    printed = subprocess.run(["/bin/sh", "-c", script], env=variables, capture_output=True, text=True, check=True)
    return printed.stdout.split("\n")[:-1]


def test_the_service_names_the_pods_that_the_job_makes(service_and_job: tuple[dict[str, Any], dict[str, Any]]) -> None:
    service, job = service_and_job
    assert (service["apiVersion"], service["kind"], job["apiVersion"], job["kind"]) == (
        "v1",
        "Service",
        "batch/v1",
        "Job",
    )
    pod = job["spec"]["template"]["spec"]
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["selector"] == {"job-name": job["metadata"]["name"]}
    assert pod["subdomain"] == service["metadata"]["name"]
    # podFailurePolicy is refused with any other restartPolicy, and an index with any other completionMode.
    assert (job["spec"]["completionMode"], pod["restartPolicy"]) == ("Indexed", "Never")
    (container,) = pod["containers"]
    assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert all(isinstance(entry["value"], str) for entry in container["env"])


def test_torchrun_takes_its_arguments_and_the_first_pod_is_the_host(
    service_and_job: tuple[dict[str, Any], dict[str, Any]],
) -> None:
    from torch.distributed.run import get_args_parser

    service, job = service_and_job
    for index, is_host in ((0, "is_host=true"), (1, "is_host=false")):
        words = command_of(job, index)
        options = get_args_parser().parse_args(words)
        assert (options.module, options.training_script) == (True, "training.run"), shlex.join(words)
        assert options.nnodes == str(job["spec"]["completions"]) == str(job["spec"]["parallelism"])
        assert options.rdzv_conf == is_host
        assert options.rdzv_endpoint.split(":")[0] == f"{job['metadata']['name']}-0.{service['metadata']['name']}"
        assert options.max_restarts > 0
        assert options.shutdown_timeout < job["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    (container,) = job["spec"]["template"]["spec"]["containers"]
    assert {"name": "TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "value": "1"} in container["env"]

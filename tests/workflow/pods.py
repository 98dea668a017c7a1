"""Snakemake with another client of Kubernetes: ``pods.py FILE WORD...``.

It writes what is submitted to FILE, and answers that each job has failed. All else is the plugin's
own.
"""

import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes
from snakemake import cli

SUBMITTED: dict[str, list[Any]] = {"jobs": [], "secrets": []}


def note(kind: str, namespace: str, body: Any) -> None:
    plain = kubernetes.client.ApiClient().sanitize_for_serialization(body)
    SUBMITTED[kind].append({"namespace": namespace, **plain})


class Batch:
    """Jobs."""

    def create_namespaced_job(self, namespace: str, body: Any) -> Any:
        note("jobs", namespace, body)
        return body

    def read_namespaced_job_status(self, name: str, namespace: str) -> Any:
        return SimpleNamespace(status=SimpleNamespace(failed=1, succeeded=0))

    def delete_namespaced_job(self, *_: Any, **__: Any) -> None:
        pass


class Core:
    """Secrets and pods."""

    def create_namespaced_secret(self, namespace: str, body: Any) -> None:
        note("secrets", namespace, body)

    def delete_namespaced_secret(self, *_: Any, **__: Any) -> None:
        pass

    def list_namespaced_pod(self, **_: Any) -> Any:
        return SimpleNamespace(items=[])


if __name__ == "__main__":
    kubernetes.config.load_kube_config = lambda: None
    kubernetes.client.BatchV1Api, kubernetes.client.CoreV1Api = Batch, Core
    file, sys.argv[1:] = Path(sys.argv[1]), sys.argv[2:]
    try:
        cli.main()
    finally:
        file.write_text(json.dumps(SUBMITTED))

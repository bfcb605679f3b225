"""The same schedule for somebody else's scheduler: Kubernetes CronJobs, or an Airflow DAG.

Kubernetes: `batch/v1` CronJob, https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/. Airflow 2.4 and
later, 3 included: https://airflow.apache.org/docs/apache-airflow/stable/core-concepts/dags.html. Either runs
`workbench jobs run NAME` where the home is mounted, so reports, history and mails are those of the workbench.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import yaml

from workbench.errors import ConfigError
from workbench.report.jobs.files import Job

HOME = "/home/workbench/data"
USER_ID = 1000


def kubernetes(jobs: Mapping[str, Job], *, image: str, claim: str, off: Collection[str] = ()) -> str:
    """A CronJob for each job that has a cron, as one YAML stream; the jobs after it run in the same pod.

    `image` has the workbench installed, `claim` is the volume claim of the home, `off` the jobs that are switched off.
    Raises ConfigError where there is nothing to export.
    """
    roots = [job for job in jobs.values() if job.cron]
    if not roots:
        raise ConfigError("no job has a cron", where="jobs export")
    documents = [_cron_job(job, image, claim, job.name in off) for job in roots]
    head = "# Written by `workbench jobs export --kubernetes`; kubectl apply -f this file.\n"
    return head + yaml.safe_dump_all(documents, sort_keys=False, explicit_start=True, width=120)


def _cron_job(job: Job, image: str, claim: str, suspended: bool) -> dict[str, Any]:
    assert job.cron is not None
    name = "workbench-" + job.name.replace("_", "-").strip("-")[:41]  # a CronJob's name has 52 characters at most
    labels = {"app.kubernetes.io/name": "workbench", "app.kubernetes.io/component": "job"}
    container = {
        "name": "run",
        "image": image,
        "command": ["workbench", "jobs", "run", job.name],
        "env": [{"name": "WORKBENCH_HOME", "value": HOME}],
        "volumeMounts": [{"name": "home", "mountPath": HOME}],
        "resources": {"requests": {"cpu": "500m", "memory": "1Gi"}, "limits": {"memory": "4Gi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "labels": labels, "annotations": {"workbench/title": job.title}},
        "spec": {
            "schedule": job.cron.standard(),
            "timeZone": job.timezone,
            # A run that waits is a queue of one there, too: the next begins when the one before is over.
            "concurrencyPolicy": "Forbid",
            "startingDeadlineSeconds": 86400,
            "suspend": suspended,
            "successfulJobsHistoryLimit": 3,
            "failedJobsHistoryLimit": 3,
            "jobTemplate": {
                "spec": {
                    # Retries are the workbench's own, with its pauses; the pod is the run.
                    "backoffLimit": 0,
                    "activeDeadlineSeconds": _longest_seconds(job),
                    "template": {
                        "metadata": {"labels": dict(labels)},
                        "spec": {
                            "restartPolicy": "Never",
                            "securityContext": {"runAsNonRoot": True, "runAsUser": USER_ID, "fsGroup": USER_ID},
                            "containers": [container],
                            "volumes": [{"name": "home", "persistentVolumeClaim": {"claimName": claim}}],
                        },
                    },
                }
            },
        },
    }


def _longest_seconds(job: Job) -> int:
    """All attempts with their pauses, and a minute to start."""
    pauses = sum(job.retry_pause_seconds * 2**number for number in range(job.retries))
    return 60 + (job.retries + 1) * job.timeout_seconds + pauses


AIRFLOW_HEAD = '''"""Written by `workbench jobs export --airflow`; put it into the folder of DAGs."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from airflow import DAG

try:
    from airflow.providers.standard.operators.bash import BashOperator
except ImportError:  # Airflow 2
    from airflow.operators.bash import BashOperator

ENVIRONMENT = {"WORKBENCH_HOME": "%s"}
'''


def airflow(jobs: Mapping[str, Job], *, home: str, off: Collection[str] = ()) -> str:
    """A Python file with a DAG for each job that has a cron; the jobs after it are its later tasks.

    `home` is the path of the home on the workers. Raises ConfigError where there is nothing to export.
    """
    roots = [job for job in jobs.values() if job.cron]
    if not roots:
        raise ConfigError("no job has a cron", where="jobs export")
    parts = [AIRFLOW_HEAD % _inside(home)]
    parts += [_dag(job, jobs, job.name in off) for job in roots]
    return "\n\n".join(parts)


def _dag(root: Job, jobs: Mapping[str, Job], paused: bool) -> str:
    assert root.cron is not None
    lines = [
        "with DAG(",
        f"    dag_id={f'workbench_{root.name}'!r},",
        f"    description={root.about or root.title!r},",
        f"    schedule={root.cron.standard()!r},",
        f"    start_date=datetime(2026, 1, 1, tzinfo=ZoneInfo({root.timezone!r})),",
        "    catchup=False,",
        "    max_active_runs=1,",
        f"    is_paused_upon_creation={paused},",
        "    tags=['workbench'],",
        "):",
    ]
    chain = [root]
    for job in chain:
        lines += [
            f"    {_task(job)} = BashOperator(",
            f"        task_id={job.name!r},",
            # `--only`: what comes after is Airflow's to start.
            f"        bash_command={f'workbench jobs run --only {job.name}'!r},",
            "        env=ENVIRONMENT,",
            "        append_env=True,",
            f"        retries={job.retries},",
            f"        retry_delay=timedelta(seconds={job.retry_pause_seconds}),",
            "        retry_exponential_backoff=True,",
            f"        execution_timeout=timedelta(seconds={job.timeout_seconds + 60}),",
            "    )",
        ]
        if job is not root:
            lines.append(f"    {_task(jobs[job.after])} >> {_task(job)}")
        chain += [other for other in jobs.values() if other.after == job.name and not other.cron]
    return "\n".join(lines) + "\n"


def _task(job: Job) -> str:
    return "task_" + job.name.replace("-", "__")


def _inside(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')

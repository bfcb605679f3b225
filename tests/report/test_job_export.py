"""The schedule for a cluster: CronJobs that Kubernetes' own schema takes, a DAG that does what the jobs do."""

from __future__ import annotations

import sys
import types
from datetime import timedelta
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from workbench.errors import ConfigError
from workbench.report import Job, airflow, kubernetes, parse_cron

JOBS = {
    job.name: job
    for job in (
        Job("daily_report", Path("a.yaml"), "daily_report", title='Daily "report"', about="it's \\ daily",
            cron=parse_cron("30 6 * * mon-fri"), timezone="Europe/Berlin", retries=2, timeout_seconds=600),
        Job("summary", Path("b.yaml"), "summary", title="Summary", after="daily_report"),
        Job("mail-out", Path("c.yaml"), "mail", title="Mail", after="summary"),
        Job("a" * 60, Path("d.yaml"), "x", title="Long", cron=parse_cron("@hourly")),
    )
}  # fmt: skip


def test_every_cron_job_is_one_by_kubernetes_own_schema():
    documents = list(yaml.safe_load_all(kubernetes(JOBS, image="reg/workbench:1", claim="home", off={"a" * 60})))
    assert len(documents) == 2, "what runs after another runs in its pod"
    for document in documents:
        kubernetes_validate.validate(document, kubernetes_validate.latest_version(), strict=True)
        assert len(document["metadata"]["name"]) <= 52
    first, second = (document["spec"] for document in documents)
    assert (first["schedule"], first["timeZone"], first["suspend"]) == ("30 6 * * mon-fri", "Europe/Berlin", False)
    assert (second["schedule"], second["suspend"]) == ("0 * * * *", True)
    pod = first["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["containers"][0]["command"] == ["workbench", "jobs", "run", "daily_report"]
    assert first["jobTemplate"]["spec"]["activeDeadlineSeconds"] >= 3 * 600


class Stub:
    """What the file asks of Airflow, noted down."""

    dags: list[Stub]
    now: Stub | None

    def __init__(self, **options):
        self.options, self.tasks, self.after = options, [], []
        if "dag_id" in options:
            Stub.dags.append(self)
        else:
            Stub.now.tasks.append(self)

    def __enter__(self):
        Stub.now = self
        return self

    def __exit__(self, *_):
        Stub.now = None

    def __rshift__(self, other):
        other.after.append(self.options["task_id"])


@pytest.fixture
def dags(monkeypatch):
    """Runs a file of DAGs against a stand-in of Airflow's two names; the DAGs by id."""
    Stub.dags, Stub.now = [], None
    names = "airflow airflow.providers airflow.providers.standard airflow.providers.standard.operators"
    for name in [*names.split(), "airflow.providers.standard.operators.bash"]:
        monkeypatch.setitem(sys.modules, name, types.SimpleNamespace(DAG=Stub, BashOperator=Stub, __path__=[]))

    def run(text: str) -> dict[str, Stub]:
        exec(compile(text, "workbench_dags.py", "exec"), {})
        return {dag.options["dag_id"]: dag for dag in Stub.dags}

    return run


def test_a_dag_has_the_schedule_in_its_zone_and_the_jobs_after_it_as_tasks(dags):
    found = dags(airflow(JOBS, home='/mnt/"home"', off={"daily_report"}))
    dag = found["workbench_daily_report"]
    assert dag.options["schedule"] == "30 6 * * mon-fri"
    assert str(dag.options["start_date"].tzinfo) == "Europe/Berlin"
    assert dag.options["catchup"] is False
    assert dag.options["is_paused_upon_creation"] is True
    assert dag.options["description"] == "it's \\ daily"
    assert [(task.options["bash_command"], task.after) for task in dag.tasks] == [
        ("workbench jobs run --only daily_report", []),
        ("workbench jobs run --only summary", ["daily_report"]),
        ("workbench jobs run --only mail-out", ["summary"]),
    ]
    assert dag.tasks[0].options["retries"] == 2
    assert dag.tasks[0].options["execution_timeout"] == timedelta(seconds=660)
    assert dag.tasks[0].options["env"] == {"WORKBENCH_HOME": '/mnt/"home"'}


def test_without_a_cron_there_is_nothing_to_export():
    with pytest.raises(ConfigError, match="no job has a cron"):
        kubernetes({"summary": JOBS["summary"]}, image="x", claim="y")
    with pytest.raises(ConfigError, match="no job has a cron"):
        airflow({"summary": JOBS["summary"]}, home="x")

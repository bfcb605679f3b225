"""A running workbench: who may see which rows, and a backup of it that gives the same answers elsewhere."""

from __future__ import annotations

import json

from .conftest import Workbench, wait_for

EVERYTHING = 'count by (job) ({__name__=~".+"})'


def jobs(workbench: Workbench, token: str) -> set[str]:
    return {one["metric"].get("job", "") for one in workbench.query(EVERYTHING, token)}


def test_a_limit_holds_within_a_second_and_until_it_is_taken_away(workbench):
    viewer, admin = workbench.token("viewer"), workbench.token("admin")
    wait_for(lambda: {"host", "workbench"} <= jobs(workbench, viewer), "host and workbench are measured")
    workbench.command("rows", "set", "role:viewer", '{job="host"}')
    wait_for(lambda: jobs(workbench, viewer) == {"host"}, "the limit is felt", seconds=2)
    assert jobs(workbench, admin) >= {"host", "workbench"}
    assert json.loads(workbench.get("/api/v1/label/job/values", token=viewer)[1])["data"] == ["host"]
    assert workbench.get("/metrics", token=viewer)[0] == 403
    assert b"You see the rows that meet" in workbench.get("/live/overview?wait=1", token=viewer)[1]
    assert b"You see the rows that meet" not in workbench.get("/live/overview?wait=1", token=admin)[1]
    workbench.command("rows", "remove", "role:viewer")
    wait_for(lambda: "workbench" in jobs(workbench, viewer), "the limit is gone", seconds=2)


def test_a_backup_of_a_running_workbench(workbench, tmp_path):
    file, copy = tmp_path / "x.csv", tmp_path / "copy"
    file.write_text("time,value\n1700000000,41\n1700000060,42\n")
    workbench.command("import", str(file))
    said = workbench.command("backup", str(copy)).stdout
    assert "lake version 0" in said
    # It goes on taking writes, and answers.
    assert workbench.status()["state"] == "running"
    refused = workbench.command("restore", str(copy), "--force", check=False)
    assert (refused.returncode, "runs on this home" in refused.stderr) == (1, True)
    elsewhere = Workbench(tmp_path / "elsewhere")
    elsewhere.command("restore", str(copy))
    ask = ("query", "x[2m]", "--time", "1700000060", "--format", "json")
    assert elsewhere.command(*ask).stdout == workbench.command(*ask).stdout
    assert '"41"' in elsewhere.command(*ask).stdout
    measured = json.loads(elsewhere.command("query", EVERYTHING, "--format", "json").stdout)
    assert measured["status"] == "success"
    found = elsewhere.command("doctor", check=False).stdout.splitlines()
    assert not [line for line in found if line.startswith("FAIL") and "pages" not in line]

"""Rules over HTTP: what was asked for, and no alert that the caller may not see."""

from __future__ import annotations

import pytest
from starlette.datastructures import QueryParams

from workbench.errors import InputError
from workbench.query import Condition, parse_matchers
from workbench.serve.access.rows import Rows
from workbench.serve.pages.rules_api import shown


def alert(domain: str, state: str) -> dict:
    return {"labels": {"alertname": "Hot", "domain": domain}, "state": state, "value": "1"}


GROUPS = [
    {
        "name": "a",
        "file": "a.yaml",
        "rules": [
            {"name": "x", "type": "recording", "labels": {"team": "ops"}, "lastError": "domain secret"},
            {"name": "Hot", "type": "alerting", "labels": {"severity": "page"}, "lastError": "", "state": "firing",
             "alerts": [alert("arts", "pending"), alert("secret", "firing")]},
        ],
    },
    {"name": "b", "file": "b.yaml", "rules": []},
]  # fmt: skip


def rows(text: str = "{}") -> Rows:
    matchers = parse_matchers(text)
    return Rows(matchers, None, Condition(matchers))


def names(asked: str) -> list[str]:
    return [rule["name"] for group in shown(GROUPS, QueryParams(asked), rows()) for rule in group["rules"]]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [("", ["x", "Hot"]), ("type=alert", ["Hot"]), ("type=record", ["x"]), ("rule_name[]=Hot&rule_name[]=y", ["Hot"]),
     ("rule_group[]=b", []), ("file[]=a.yaml&type=record", ["x"]), ('match[]={severity="page"}', ["Hot"]),
     ('match[]={severity="page"}&match[]={team=~"o.*"}', ["x", "Hot"])],
)  # fmt: skip
def test_rules_are_chosen_as_prometheus_does(asked, expected):
    assert names(asked) == expected


def test_groups_without_what_was_asked_for_are_left_out():
    assert [group["name"] for group in shown(GROUPS, QueryParams(""), rows())] == ["a", "b"]
    assert [group["name"] for group in shown(GROUPS, QueryParams("type=alert"), rows())] == ["a"]


def test_whoever_sees_some_rows_sees_their_alerts_and_no_word_of_others():
    (group,) = shown(GROUPS, QueryParams("rule_group[]=a"), rows('{domain="arts"}'))
    assert "secret" not in str(group)
    assert group["rules"][1]["state"] == "pending"
    assert group["rules"][1]["alerts"] == [alert("arts", "pending")]
    (group,) = shown(GROUPS, QueryParams("rule_group[]=a&exclude_alerts=true"), rows())
    assert (group["rules"][1]["alerts"], group["rules"][1]["state"]) == ([], "firing")


def test_an_unknown_type_is_refused():
    with pytest.raises(InputError):
        shown(GROUPS, QueryParams("type=both"), rows())

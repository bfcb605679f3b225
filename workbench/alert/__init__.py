"""Alerts: rules in Prometheus' format, their life as a pure function, a durable outbox, and the channels behind it."""

from workbench.alert import job_watch
from workbench.alert.cap_watch import cap_step
from workbench.alert.engine import Alert, AlertRuleEngine, Change, step
from workbench.alert.hub_watch import HubWatch, watch_step
from workbench.alert.manager import AlertManager, Trouble
from workbench.alert.notification import NotificationChannels
from workbench.alert.outbox import channel_id, commit_changes, load_alerts
from workbench.alert.recording import Answer, Recorded
from workbench.alert.rule_reader import Fault, load_rules
from workbench.alert.rule_status import state_of
from workbench.alert.rules import RecordingRule, Rule, RuleGroup, rule_files

__all__ = [
    "Alert",
    "AlertManager",
    "AlertRuleEngine",
    "Answer",
    "Change",
    "Fault",
    "HubWatch",
    "NotificationChannels",
    "Recorded",
    "RecordingRule",
    "Rule",
    "RuleGroup",
    "Trouble",
    "cap_step",
    "channel_id",
    "commit_changes",
    "job_watch",
    "load_alerts",
    "load_rules",
    "rule_files",
    "state_of",
    "step",
    "watch_step",
]

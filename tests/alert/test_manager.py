"""AlertManager: whose turn it is, faults that stay where they are, and what a restart finds."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from alert.receivers import NOW_US, SECOND, told_to
from workbench.alert import AlertManager, NotificationChannels, load_alerts
from workbench.config import Settings
from workbench.errors import QueryError, StoreError
from workbench.store import open_view, open_writer, state

RULES = """
groups:
  - name: prompt
    interval: 1s
    rules: [{alert: Hot, expr: heat > 90}, {alert: Broken, expr: broken}]
  - name: slow
    interval: 15s
    rules: [{alert: Slow, expr: slow}]
"""


def test_the_manager_obeys_intervals_survives_bad_rules_and_keeps_history(settings, hook):
    settings = told_to(settings, hook.url)
    (settings.home / "rules").mkdir(parents=True)
    for name in ("host.yaml", "platform.yaml"):
        (settings.home / "rules" / name).write_text("groups: []")
    (settings.home / "rules" / "own.yaml").write_text(RULES)
    asked: list[str] = []
    hot = [({"host": "a"}, 95.0)]
    lake_is_full = [True]

    def evaluate(query: object, _time_us: int):
        asked.append(str(query))
        if str(query) == "broken":
            raise QueryError("no such thing")
        return hot if str(query) == "heat > 90" else []

    with open_writer(settings) as writer:

        def record(batch) -> None:
            if lake_is_full[0]:
                raise StoreError("full")
            writer.append({"alerts": batch}).result()

        engine = state.engine(settings)
        manager = AlertManager(evaluate, engine, settings, record)
        for second in range(31):
            manager.tick(NOW_US // SECOND * SECOND + second * SECOND)
        assert asked.count("heat > 90") == 31
        assert asked.count("slow") in (2, 3)
        assert any("Broken" in trouble.where for trouble in manager.health())
        with engine.connect() as connection:
            writes = connection.exec_driver_sql("SELECT count(*) FROM outbox").scalar()
        assert writes == 2, "one for the channel, one for the lake, and nothing while nothing changes"
        # A set-back clock must not silence the slow group.
        before = asked.count("slow")
        manager.tick(NOW_US - 3600 * SECOND)
        assert asked.count("slow") == before + 1
        lake_is_full[0] = False
        hot.clear()
        for second in range(31, 60):
            manager.tick(NOW_US // SECOND * SECOND + second * SECOND)
        rows = writer.view.table("alerts").to_pylist()
        assert [(row["alertname"], row["state"]) for row in rows] == [("Hot", "firing"), ("Hot", "resolved")]
        assert load_alerts(engine, owner="") == []
        NotificationChannels(settings, engine).run_once(NOW_US + 100 * SECOND)
        assert hook.told() == [("Hot", "firing"), ("Hot", "resolved")]
    view = open_view(settings)
    assert view.table("alerts").num_rows == 2
    view.close()


def test_a_file_with_faults_keeps_its_old_rules(settings):
    (settings.home / "rules").mkdir(parents=True)
    file = settings.home / "rules" / "own.yaml"
    file.write_text("groups: [{name: a, interval: 1s, rules: [{alert: Hot, expr: heat}]}]")
    asked: list[str] = []

    def evaluate(query: object, _time_us: int) -> list:
        asked.append(str(query))
        return []

    manager = AlertManager(evaluate, state.engine(settings), settings, lambda _: None)
    manager.tick(NOW_US)
    file.write_text("groups: [{name: a, rules: [{alert: Hot, expr: 'heat >'}]}]")
    asked.clear()
    manager.tick(NOW_US + 6 * SECOND)
    assert "heat" in asked
    assert any("own.yaml" in trouble.where and "expr" in trouble.message for trouble in manager.health())
    file.write_text("groups: [{name: a, interval: 1s, rules: [{alert: Hot, expr: heat * 2}]}]")
    manager.tick(NOW_US + 12 * SECOND)
    assert "heat * 2" in asked
    assert manager.health() == []


HOT = "groups: [{name: a, interval: 1s, rules: [{alert: Broken, expr: broken}, {alert: Hot, expr: heat}]}]"


def ruled(settings: Settings, text: str, name: str = "own.yaml") -> None:
    """Put a rule file into the home, and empty ones in the place of ours."""
    folder = settings.home / "rules"
    folder.mkdir(parents=True, exist_ok=True)
    for ours in ("host.yaml", "platform.yaml"):
        if not (folder / ours).exists():
            (folder / ours).write_text("groups: []")
    (folder / name).write_text(text)


def heat(query: object, _time_us: int) -> list:
    """An evaluator to which `heat` holds and nothing else."""
    return [({}, 1.0)] if str(query) == "heat" else []


def manager_of(settings: Settings, evaluate=heat) -> tuple[AlertManager, sa.Engine]:
    engine = state.engine(settings)
    return AlertManager(evaluate, engine, settings, lambda _: None), engine


def asking(asked: list[str]):
    """An evaluator that keeps what it was asked."""
    return lambda query, _time_us: asked.append(str(query)) or []


def test_whatever_one_rule_meets_the_others_go_on(settings):
    ruled(settings, HOT)

    def evaluate(query: object, time_us: int) -> list:
        if str(query) == "broken":
            raise ZeroDivisionError("a fault of the evaluator")
        return heat(query, time_us)

    manager, _ = manager_of(settings, evaluate)
    assert [change.alert.labels for change in manager.tick(NOW_US)] == [(("alertname", "Hot"),)]
    assert ["ZeroDivisionError" in trouble.message for trouble in manager.health()] == [True]


def test_what_the_state_could_not_take_is_written_at_the_next_tick(settings, hook):
    settings = told_to(settings, hook.url)
    ruled(settings, HOT)
    manager, engine = manager_of(settings)
    full = [True]

    def refuse(_connection, _cursor, text: str, *_: object) -> None:
        if full[0] and text.startswith("INSERT"):
            raise sa.exc.OperationalError(text, None, OSError("disk full"))

    sa.event.listen(engine, "before_cursor_execute", refuse)
    with pytest.raises(sa.exc.OperationalError):
        manager.tick(NOW_US)
    full[0] = False
    assert [change.state for change in manager.tick(NOW_US + SECOND)] == ["firing"]
    assert manager.tick(NOW_US + 2 * SECOND) == []
    NotificationChannels(settings, engine).run_once(NOW_US)
    assert hook.told() == [("Hot", "firing")]


def test_nothing_is_written_while_nothing_changes(settings):
    ruled(settings, HOT)
    manager, engine = manager_of(settings)
    for second in range(10):
        manager.tick(NOW_US + second * SECOND)
    written: list[str] = []

    def note(_connection, _cursor, text: str, *_: object) -> None:
        if not text.startswith("SELECT"):
            written.append(text)

    sa.event.listen(engine, "before_cursor_execute", note)
    channels = NotificationChannels(told_to(settings, "http://127.0.0.1:9/"), engine)
    for second in range(10, 70):
        manager.tick(NOW_US + second * SECOND)
        channels.run_once(NOW_US + second * SECOND)
    assert written == []


def test_a_restart_neither_forgets_nor_fires_twice(settings, hook):
    settings = told_to(settings, hook.url)
    ruled(settings, HOT.replace("expr: heat", "expr: heat, keep_firing_for: 1h"))
    day_us = 86_400 * SECOND
    manager_of(settings)[0].tick(NOW_US)
    assert manager_of(settings)[0].tick(NOW_US + day_us) == []
    restarted, engine = manager_of(settings, lambda *_: [])
    assert restarted.tick(NOW_US + 2 * day_us) == [], "keep_firing_for begins with the restart"
    assert [change.state for change in restarted.tick(NOW_US + 2 * day_us + 3600 * SECOND)] == ["resolved"]
    NotificationChannels(settings, engine).run_once(NOW_US)
    assert hook.told() == [("Hot", "firing"), ("Hot", "resolved")]


def test_a_file_with_faults_in_the_place_of_ours_leaves_ours_in_force(settings):
    ruled(settings, "groups: [{rules: 7}]", "host.yaml")
    asked: list[str] = []
    manager, _ = manager_of(settings, asking(asked))
    manager.tick(NOW_US)
    assert any("system_filesystem_utilization_ratio" in text for text in asked)
    assert ["host.yaml" in trouble.where for trouble in manager.health()] == [True]


def test_locks_of_an_editor_and_dangling_links_do_not_stop_the_rules(settings):
    ruled(settings, HOT)
    (settings.home / "rules" / ".#own.yaml").symlink_to("somebody@somewhere.1")
    (settings.home / "rules" / "dangling.yaml").symlink_to("nowhere.yaml")
    asked: list[str] = []
    manager, _ = manager_of(settings, asking(asked))
    manager.tick(NOW_US)
    assert "heat" in asked
    assert ["dangling.yaml" in trouble.where for trouble in manager.health()] == [True]


def test_rule_files_are_looked_at_though_the_clock_was_set_back(settings):
    ruled(settings, "groups: []")
    manager, _ = manager_of(settings)
    assert manager.tick(NOW_US) == []
    ruled(settings, HOT, "new.yaml")
    assert [change.state for change in manager.tick(NOW_US - 3600 * SECOND)] == ["firing"]

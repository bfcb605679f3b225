"""The outbox: claims, order, pauses, what it holds and what it lets go."""

from __future__ import annotations

import sqlalchemy as sa

from alert.receivers import NOW_US, SECOND, Hook, change, queue, told_to
from workbench.alert import NotificationChannels, channel_id, commit_changes, outbox
from workbench.store import state


def test_a_claim_of_a_process_that_died_ends(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    queue(settings, engine, change("Hot"))
    with engine.begin() as connection:
        connection.execute(sa.update(state.outbox).values(claimed_until_us=NOW_US + 60 * SECOND))
    channels = NotificationChannels(settings, engine)
    assert channels.run_once(NOW_US) == 0
    assert channels.run_once(NOW_US + 61 * SECOND) == 1


def test_ten_thousand_alerts_are_few_statements_in_one_transaction(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    statements: list[str] = []
    sa.event.listen(engine, "before_cursor_execute", lambda _c, _u, text, *_: statements.append(text))
    commits: list[int] = []
    sa.event.listen(engine, "commit", lambda _: commits.append(1))
    storm = [change("Hot", host=str(number)) for number in range(10_000)]
    queue(settings, engine, *storm, *storm)
    assert len(commits) == 1
    assert len(statements) < 200
    channels = NotificationChannels(settings, engine)
    while channels.run_once(NOW_US):
        pass
    assert len(hook.told()) == 10_000, "once each, though they were queued twice"
    assert len(hook.bodies) <= 20


def test_something_new_is_tried_at_once_though_the_receiver_failed_before(settings):
    flaky = Hook(answers=[500])
    try:
        settings = told_to(settings, flaky.url, retry_max_seconds=300)
        engine = state.engine(settings)
        channels = NotificationChannels(settings, engine)
        queue(settings, engine, change("Hot"))
        assert channels.run_once(NOW_US) == 0
        assert channels.run_once(NOW_US) == 0, "it waits for its turn"
        queue(settings, engine, change("Cold"))
        assert channels.run_once(NOW_US) == 2
    finally:
        flaky.close()


def test_a_clock_that_is_set_back_does_not_make_messages_wait(settings, hook):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    queue(settings, engine, change("Hot"))
    later_us = NOW_US + 3600 * SECOND
    with engine.begin() as connection:
        connection.execute(sa.update(state.outbox).values(claimed_until_us=later_us, next_attempt_us=later_us))
    assert NotificationChannels(settings, engine).run_once(NOW_US) == 1


def test_what_can_wait_no_longer_goes(settings, hook, monkeypatch):
    settings = told_to(settings, hook.url)
    engine = state.engine(settings)
    here = [channel_id(hook.url)]
    day_us = 86_400 * SECOND
    commit_changes(engine, [change("Old")], ["gone", *here])
    assert outbox.forget_old(engine, NOW_US + 6 * day_us, here) == 0
    assert outbox.forget_old(engine, NOW_US + 8 * day_us, here) == 1, "what waited for the channel that is gone"
    monkeypatch.setattr(outbox, "MOST_QUEUED", 3)
    queue(settings, engine, *(change(f"Hot{number}") for number in range(5)))
    assert outbox.forget_old(engine, NOW_US, here) == 3 + 3, "of this channel and of the lake's history"
    NotificationChannels(settings, engine).run_once(NOW_US)
    assert [name for name, _ in hook.told()] == ["Hot2", "Hot3", "Hot4"]

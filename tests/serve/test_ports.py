"""Ports: default ones give way, asked-for ones do not, and every address has the same number."""

from __future__ import annotations

import os
import socket

import pytest

from workbench import config
from workbench.errors import ConfigError, PortTaken
from workbench.serve.process import port_numbers
from workbench.serve.running import ports


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


@pytest.fixture
def free():
    """A port that was free a moment ago."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return listening.getsockname()[1]


@pytest.fixture
def defaults(monkeypatch):
    """Make settings' ports the defaults, so that a test does not depend on what runs on 8765 or 4318."""

    def use(settings, **numbers):
        flags = {ports.SETTING[name]: number for name, number in numbers.items()}
        made = config.load(settings.home, environ={}, flags=flags)
        monkeypatch.setattr(ports, "Settings", lambda: made)
        return made

    return use


def opened(settings, flags=()):
    found = ports.open_ports(settings, flags)
    for listening in found.sockets.values():
        for one in listening:
            assert one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    return found


def test_zero_is_any_free_port(settings):
    flags = dict.fromkeys(ports.SETTING.values(), 0)
    found = opened(config.load(settings.home, environ={}, flags=flags), set(flags))
    try:
        assert len(set(found.numbers.values())) == 4
        assert 0 not in found.numbers.values()
        assert set(found.sockets) == {"main", "notebook", "ingest"}
        for name, listening in found.sockets.items():
            assert {one.getsockname()[1] for one in listening} == {found.numbers[name]}
            assert listening[0].getsockname()[0] == "127.0.0.1"
        assert found.notices == []
    finally:
        found.close()


def test_a_default_port_that_is_taken_gives_way_and_says_so(settings, defaults, taken, free):
    here = defaults(settings, main=taken, notebook=0, ingest=free, grpc=0)
    found = opened(here)
    try:
        assert found.numbers["main"] != taken
        assert found.numbers["ingest"] == free
        (notice,) = found.notices
        assert f"main port {taken} is taken by" in notice
        assert f"pid {os.getpid()}" in notice
        assert str(found.numbers["main"]) in notice
    finally:
        found.close()


def test_a_default_port_that_is_taken_on_ipv6_alone_gives_way(settings, defaults):
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listening:
        taken = listening.getsockname()[1]
        found = opened(defaults(settings, main=taken, notebook=0, ingest=0, grpc=0))
        try:
            assert found.numbers["main"] != taken
            assert len(found.notices) == 1
        finally:
            found.close()


@pytest.mark.parametrize("name", list(ports.SETTING))
@pytest.mark.parametrize("asked_by", ["flag", "setting"])
def test_an_asked_port_that_is_taken_is_an_error(settings, taken, name, asked_by):
    flags = dict.fromkeys(ports.SETTING.values(), 0) | {ports.SETTING[name]: taken}
    here = config.load(settings.home, environ={}, flags=flags)
    with pytest.raises(PortTaken) as caught:
        ports.open_ports(here, {ports.SETTING[name]} if asked_by == "flag" else set())
    assert str(taken) in str(caught.value)
    assert f"pid {os.getpid()}" in str(caught.value)
    assert ports.FLAG[name] in str(caught.value)


def test_with_the_ingest_port_given_the_others_take_any(settings, defaults, taken, free):
    here = defaults(settings, main=taken, notebook=taken, grpc=taken, ingest=free)
    found = opened(here, {"ingest.port"})
    try:
        assert found.numbers["ingest"] == free
        assert taken not in found.numbers.values()
        assert found.notices == []
    finally:
        found.close()


def test_one_port_asked_for_twice_is_an_error(settings, free):
    flags = {"front.port": free, "ingest.port": free, "front.notebook_port": 0, "ingest.grpc_port": 0}
    with pytest.raises(PortTaken, match="workbench itself"):
        ports.open_ports(config.load(settings.home, environ={}, flags=flags), set(flags))


def test_nothing_is_left_open_after_an_error(settings, taken, free):
    flags = {"front.port": free, "front.notebook_port": 0, "ingest.port": 0, "ingest.grpc_port": taken}
    with pytest.raises(PortTaken):
        ports.open_ports(config.load(settings.home, environ={}, flags=flags), set(flags))
    assert ports.taken_by(free) == ""


@pytest.mark.parametrize("bind", ["0.0.0.0", "::", "192.0.2.1", "example.org", ""])
def test_nothing_is_served_beyond_loopback(settings, bind):
    flags = dict.fromkeys(ports.SETTING.values(), 0) | {"front.bind": bind}
    with pytest.raises(ConfigError, match=r"front\.bind"):
        ports.open_ports(config.load(settings.home, environ={}, flags=flags), set(flags))


def test_the_defaults_are_the_ports_of_the_contracts():
    assert port_numbers(config.Settings()) == {"main": 8765, "notebook": 8766, "ingest": 4318, "grpc": 4317}

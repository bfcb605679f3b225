"""What is not shown inside does not exist there: secrets, other people, the network; what is, cannot be changed."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import pytest
from conftest import ROOT

READ = """
import os
for path in PATHS:
    try:
        print("READ", path, os.listdir(path) if os.path.isdir(path) else open(path).read(20))
    except OSError as error:
        print(type(error).__name__)
"""


def test_secrets_of_the_home_and_other_people_are_not_there(inside, home, own):
    secrets = [home.state_dir / "state.db", home.log_dir, home.runtime_dir, home.lake_dir, own.parent / "3"]
    done = inside(f"PATHS = {[str(path) for path in secrets]!r}\n{READ}")
    assert done.returncode == 0, done.stderr
    assert set(done.stdout.split()) == {"FileNotFoundError"}


def test_a_link_out_of_the_folder_leads_nowhere(inside, home, own):
    (own / "state").symlink_to(home.state_dir / "state.db")
    (own / "up").symlink_to("../3/diary.txt")
    done = inside(f"PATHS = ['state', 'up', '../3/diary.txt', '/etc/shadow', '/root/.ssh']\n{READ}")
    assert set(done.stdout.split()) == {"FileNotFoundError"}


def test_the_environment_is_ours_alone(inside, monkeypatch):
    monkeypatch.setenv("WORKBENCH_SECRET_OF_TEST", "s3cret")
    done = inside("import os; print(os.environ)")
    assert "s3cret" not in done.stdout
    assert "WORKBENCH_QUERY_BROKER" in done.stdout


def test_no_network_but_its_own_loopback(inside):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = inside(
            "import socket\n"
            f"for host in ('127.0.0.1', '192.0.2.1'):\n"
            f"    try: socket.create_connection((host, {port}), 2); print('OPEN')\n"
            "    except OSError as error: print(error.errno)\n"
        )
    assert done.stdout.split() == [str(errno.ECONNREFUSED), str(errno.ENETUNREACH)]


def test_no_process_but_its_own_and_no_new_namespaces(inside):
    done = inside(
        "import os, ctypes\n"
        "print(sorted(int(p) for p in os.listdir('/proc') if p.isdigit()))\n"
        "print(ctypes.CDLL(None).unshare(0x10000000))\n"  # CLONE_NEWUSER
    )
    assert done.stdout.split("\n")[:2] == ["[1, 2]", "-1"]


@pytest.mark.parametrize("lake", [False, True])
def test_it_writes_into_its_folder_and_nowhere_else(inside, home, own, lake):
    places = ["/x", "/dev/x", "/usr/x", "/etc/x", home.home / "x", home.lake_dir / "x", own.parent / "x"]
    done = inside(
        "import workbench, os\n"
        f"for place in {list(map(str, places))!r} + [os.path.join(os.path.dirname(workbench.__file__), 'x')]:\n"
        "    try: open(place, 'w')\n"
        "    except OSError as error: pass\n"  # below /tmp it would be its own
        "open('mine', 'w').write('mine'); open('/tmp/x', 'w').write('x')\n",
        lake=lake,
    )
    assert done.returncode == 0, done.stderr
    assert (own / "mine").read_text() == "mine"
    assert not any(Path(place).exists() for place in [*places, ROOT / "workbench" / "x"])


def test_files_of_the_lake_can_be_neither_changed_nor_removed(inside, home):
    done = inside(
        "import os, glob\n"
        f"files = [f for f in glob.glob({str(home.lake_dir)!r} + '/**', recursive=True) if os.path.isfile(f)]\n"
        "assert files\n"
        "acts = os.remove, lambda f: open(f, 'r+b'), lambda f: os.chmod(f, 0o777), lambda f: os.rename(f, f + '1')\n"
        "for file in files:\n"
        "    for act in acts:\n"
        "        try: act(file); print('CHANGED', file)\n"
        "        except OSError: pass\n",
        lake=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_index_is_shown_with_the_lake_and_never_without(inside, home):
    index = home.home / "index"
    index.mkdir()
    (index / "catalog.json").write_text("what it covers")
    assert inside(f"PATHS = [{str(index)!r}]\n{READ}").stdout == "FileNotFoundError\n"
    write = f"try: open({str(index / 'catalog.json')!r}, 'a'); print('CHANGED')\nexcept OSError: print('refused')\n"
    done = inside(f"{write}PATHS = [{str(index / 'catalog.json')!r}]\n{READ}", lake=True)
    assert done.stdout.splitlines() == ["refused", f"READ {index / 'catalog.json'} what it covers"], done.stderr


def test_one_process_that_asks_for_far_too_much_is_refused_at_once(inside):
    done = inside("import numpy\ntry: numpy.ones(2**33)\nexcept MemoryError: print('refused')", memory_bytes=2**30)
    assert done.stdout == "refused\n", done.stderr

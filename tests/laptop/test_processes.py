"""Processes: found by session, never mistaken for a later one with the same id, ended without a rest."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from laptop.processes import (
    Component,
    ComponentError,
    Leash,
    PortError,
    Session,
    choose_port,
    end_sessions,
    port_is_free,
    process_birth,
    require_port,
)
from laptop.stack import PROJECT

# A parent and a child in a process group of its own, both deaf to SIGTERM, as a task of Airflow may be.
STUBBORN_FAMILY = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.fork() == 0:
    os.setpgid(0, 0)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def component(tmp_path: Path) -> Iterator[Callable[[str], Component]]:
    made: list[Component] = []

    def make(program: str) -> Component:
        log = tmp_path / f"{len(made)}.log"
        one = Component(f"part-{len(made)}", [sys.executable, "-c", program], dict(os.environ), folder=tmp_path, log=log)
        made.append(one)
        return one

    yield make
    for one in made:
        one.kill()


def wait_for_log(component: Component, text: str, count: int = 1) -> None:
    deadline = time.monotonic() + 10
    while component.log.read_text().count(text) < count:
        assert time.monotonic() < deadline, f"{component.name} did not write {text!r}"
        time.sleep(0.02)


def family(component: Callable[[str], Component]) -> tuple[Component, Session]:
    one = component(STUBBORN_FAMILY)
    one.start()
    wait_for_log(one, "ready", count=2)
    assert one.session is not None
    return one, one.session


def test_a_session_holds_children_that_changed_their_process_group(component: Callable[[str], Component]) -> None:
    _, session = family(component)

    assert len(session.members()) == 2


def test_kill_leaves_no_child(component: Callable[[str], Component]) -> None:
    one, session = family(component)

    one.kill()

    assert session.members() == []
    assert not one.runs()


def test_children_of_a_dead_leader_are_still_found(component: Callable[[str], Component]) -> None:
    one, session = family(component)
    os.kill(session.leader, 9)
    assert one._process is not None
    one._process.wait()

    orphans = session.members()
    session.kill()

    assert len(orphans) == 1
    assert session.members() == []


def test_a_process_that_ignores_the_request_is_killed_after_the_grace(component: Callable[[str], Component]) -> None:
    _, session = family(component)
    begun = time.monotonic()

    end_sessions([session], grace_seconds=0.3)

    assert session.members() == []
    assert time.monotonic() - begun >= 0.3


def test_a_recycled_process_id_is_never_touched(component: Callable[[str], Component]) -> None:
    one, session = family(component)
    earlier = replace(session, birth="ticks:1")

    earlier.terminate()
    earlier.kill()

    assert earlier.members() == []
    assert not earlier.leader_runs()
    assert one.runs()


def test_a_process_has_one_birth_and_a_missing_one_has_none() -> None:
    assert process_birth(os.getpid()) == process_birth(os.getpid()) is not None
    assert process_birth(2**22 + 1) is None


def test_a_component_that_ends_by_itself_is_reported_with_the_end_of_its_log(component: Callable[[str], Component]) -> None:
    one = component("print('the port is taken'); raise SystemExit(3)")
    one.start()
    assert one._process is not None
    one._process.wait()

    with pytest.raises(ComponentError, match=r"exit code 3(?s:.)*the port is taken"):
        one.check()


def test_a_component_ended_on_purpose_is_no_failure(component: Callable[[str], Component]) -> None:
    one, _ = family(component)

    one.kill()

    one.check()


def test_a_restarted_component_is_a_new_session_and_adds_to_the_log(component: Callable[[str], Component]) -> None:
    one = component("import time; print('ready', flush=True); time.sleep(60)")
    told: list[Session] = []
    waited: list[str] = []
    one.on_start = told.append
    one.wait_until_ready = lambda part, _since: waited.append(part.name)
    one.start()
    wait_for_log(one, "ready")

    one.restart()

    wait_for_log(one, "ready", count=2)
    assert len({session.leader for session in told}) == 2
    assert waited == [one.name]


def test_the_leash_ends_what_it_holds_when_its_owner_is_killed(component: Callable[[str], Component]) -> None:
    _, session = family(component)
    owner = f"""
import os
from pathlib import Path
from laptop.processes import Leash, Session
Leash(Path({str(PROJECT)!r})).hold(Session({session.name!r}, {session.leader}, {session.birth!r}))
os.kill(os.getpid(), 9)
"""

    subprocess.run([sys.executable, "-c", owner], cwd=PROJECT, check=False)

    deadline = time.monotonic() + 20
    while session.members() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert session.members() == []


def test_the_leash_lets_go_of_what_shall_live_on(component: Callable[[str], Component]) -> None:
    one, session = family(component)
    leash = Leash(PROJECT)
    leash.hold(session)

    leash.release()

    assert one.runs()


def test_the_leash_ends_although_another_process_holds_its_pipe(component: Callable[[str], Component]) -> None:
    _, session = family(component)
    leash = Leash(PROJECT)
    leash.hold(session)
    assert leash._process.stdin is not None
    inherited = os.dup(leash._process.stdin.fileno())

    leash.close()

    os.close(inherited)
    assert session.members() == []


def test_a_taken_port_is_replaced_or_refused() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]

        chosen = choose_port(taken)

        assert chosen != taken
        assert port_is_free(chosen)
        with pytest.raises(PortError, match=f"PORT={taken} is in use"):
            require_port(taken)


def test_a_free_port_is_kept_unless_it_is_promised_already() -> None:
    free = choose_port()

    assert choose_port(free) == free
    assert choose_port(free, taken=[free]) != free


@pytest.mark.parametrize("port", [0, 65536, -1])
def test_a_number_that_is_no_port_is_refused(port: int) -> None:
    with pytest.raises(PortError, match="from 1 to 65535"):
        require_port(port)

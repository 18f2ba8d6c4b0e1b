"""The emulated board: every part that touches a Pi, on a whole aarch64 Linux over SSH."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import paramiko
import pytest

from devices import sampler, telemetry
from devices.blobs import BlobStore
from devices.controls import apply_controls, restore
from devices.deadline import Deadline
from devices.device import LEASE_PLACES
from devices.emulated.board import EmulatedBoard
from devices.emulated.board_boot import MODELS
from devices.errors import DeviceOffline, LeaseLost, Unauthorized
from devices.facts import read_facts
from devices.journal import Journal
from devices.launch import Launcher, Watch
from devices.launch_output import LaunchLost
from devices.lease import Lease, Owner, look
from devices.sampler import parse_samples
from devices.ssh import SshTransport
from devices.telemetry import parse_snapshot, snapshot
from devices.transport import Transport
from tests import test_transport_contract as contract
from tests.boards import start

pytest_plugins = ("tests.board_fixture",)
# A busy machine of two cores emulates a Pi ten times slower than a quiet one.
pytestmark = [
    pytest.mark.board,
    pytest.mark.xdist_group("board"),
    pytest.mark.timeout(1200),
]

WATCH = Watch(conditions=telemetry.SCRIPT, sampler=sampler.SCRIPT)
LEASE = LEASE_PLACES["linux"]
POLICY = "/sys/devices/system/cpu/cpufreq/policy0"


def soon() -> Deadline:
    return Deadline(120)


def said(transport: Transport, *argv: str) -> str:
    return transport.run(argv, deadline=soon()).check().text.strip()


@pytest.fixture
def launcher(pi_transport: SshTransport, workdir: str) -> Launcher:
    return Launcher(pi_transport, workdir, BlobStore(pi_transport, workdir))


class leased:  # noqa: N801 - reads as what it is
    """The lease of a board, for a with statement."""

    def __init__(self, transport: SshTransport, place: str = LEASE) -> None:
        self._transport = transport
        self._place = place

    def __enter__(self) -> Lease:
        self._lease = Lease.acquire(
            self._transport,
            self._place,
            Owner.here("test"),
            deadline=soon(),
            replay=lambda journal: restore(self._transport, journal, deadline=soon()),
        )
        return self._lease

    def __exit__(self, *_: object) -> None:
        self._lease.release(deadline=soon())


# --- the transport contract ---------------------------------------------------
# The same tests as for every other transport; the fixtures below lead them here.


@pytest.fixture
def transport(pi_transport: SshTransport) -> Transport:
    return pi_transport


on_device = contract.on_device

test_exit_code_and_both_outputs = contract.test_exit_code_and_both_outputs_come_back
test_death_by_signal = contract.test_death_by_signal_is_minus_its_number
test_arguments = contract.test_arguments_arrive_as_they_are
test_stdin = contract.test_stdin_arrives_and_without_it_there_is_none
test_no_such_program = contract.test_no_such_program
test_a_timeout = contract.test_a_command_past_its_deadline_is_a_timeout
test_stream_lines = contract.test_stream_gives_lines_without_their_newline
test_stream_error = contract.test_stream_ends_in_an_error_if_the_command_does
test_stream_timeout = contract.test_stream_past_its_deadline_is_a_timeout
test_files = contract.test_a_file_goes_there_and_back_whole
test_push_replaces = contract.test_push_replaces_what_was_there
test_missing_files = contract.test_missing_files_are_named
test_faults = contract.test_a_fault_strikes_its_call_and_no_other


def test_much_output_on_both_pipes_is_whole(pi_transport: SshTransport) -> None:
    script = (
        "import sys\nfor _ in range(30):\n"
        " sys.stdout.buffer.write(b'o' * 100000); sys.stderr.buffer.write(b'e' * 100000)"
    )
    result = pi_transport.run(["python3", "-c", script], deadline=soon())
    assert (result.stdout, result.stderr) == (b"o" * 3_000_000, b"e" * 3_000_000)


# --- what it is ---------------------------------------------------------------


def test_it_tells_that_it_is_a_pi_and_that_it_is_none(pi_transport: SshTransport) -> None:
    facts = read_facts(pi_transport, soon())
    assert (facts.kind, facts.machine, facts.word_bits) == ("linux", "aarch64", 64)
    assert facts.board == "Raspberry Pi 4 Model B Rev 1.4"
    assert facts.soc == "brcm,bcm2711"
    assert facts.revision == "c03114"
    assert facts.cpu_model is not None
    assert facts.cpu_model.endswith(("Cortex-A72", "part 0xd08"))
    assert facts.hostname == "edgebench-emulated-pi"
    assert [(c.cpus, c.max_khz) for c in facts.clusters] == [((0, 1), 1_800_000)]
    assert facts.libc is not None
    assert facts.root == "user"
    assert facts.unit is not None


def test_its_network_leads_nowhere(pi_transport: SshTransport) -> None:
    script = "import socket; socket.create_connection(('192.0.2.1', 80), 3)"
    result = pi_transport.run(["python3", "-c", script], deadline=soon())
    assert result.exit_code == 1
    assert b"Error" in result.stderr.splitlines()[-1]


def test_its_state_is_what_a_test_makes_it(pi: EmulatedBoard, pi_transport: SshTransport) -> None:
    quiet = snapshot(pi_transport, soon())
    assert (quiet.temperature_c, quiet.temperature_zone) == (47.2, "cpu-thermal")
    assert quiet.throttled_bits == 0
    assert quiet.policies is not None
    assert quiet.policies["policy0"].governor == "ondemand"
    pi.set(temperature_c=83.5, khz=1_000_000, max_khz=1_200_000, throttled=0x50005)
    try:
        hot = snapshot(pi_transport, soon())
        assert (hot.temperature_c, hot.throttled_bits) == (83.5, 0x50005)
        assert hot.policies is not None
        assert (hot.policies["policy0"].cur_khz, hot.policies["policy0"].max_khz) == (
            1_000_000,
            1_200_000,
        )
        assert said(pi_transport, "vcgencmd", "measure_temp") == "temp=83.5'C"
        assert said(pi_transport, "vcgencmd", "measure_clock", "arm") == "frequency(48)=1000000000"
    finally:
        pi.set(temperature_c=47.2, khz=1_800_000, max_khz=1_800_000, throttled=0)


def test_who_may_not_ask_the_firmware_is_told_how(pi: EmulatedBoard) -> None:
    transport = pi.transport("pi")
    try:
        seen = snapshot(transport, soon())
    finally:
        transport.close()
    assert seen.throttled_bits is None
    assert seen.throttled_reason == "vcgencmd was refused: add this user to the group video"


def test_a_pi_5() -> None:
    board = start(EmulatedBoard(5, name="edgebench-emulated-pi-5"))
    transport = board.transport()
    try:
        facts = read_facts(transport, soon())
        assert facts.board == MODELS[5].name
        assert facts.soc == "brcm,bcm2712"
        # Two rails are told: 0.64 A x 0.72 V; the third has no current.
        assert snapshot(transport, soon()).pmic_w == pytest.approx(0.64 * 0.72)
        with leased(transport) as lease:
            (result,) = apply_controls(
                transport, "linux", True, {"fan": "max"}, lease.journal, deadline=soon()
            )
            assert (result.outcome, result.before, result.after) == ("applied", "0", "4")
            put_back = restore(transport, lease.journal, deadline=soon())
            assert [(item.restored, item.value) for item in put_back] == [(True, "0")]
        home = board.home
    finally:
        transport.close()
        board.stop()
    assert not home.exists()


# --- launches -----------------------------------------------------------------


def test_a_launch_brings_back_output_conditions_and_samples(
    launcher: Launcher, tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(os.urandom(10_000))
    output = launcher.run(
        "l1",
        ["sh", "-c", 'cat input > out; echo "$WORD"; sleep 2.5; echo e >&2; exit 3'],
        files={"input": tmp_path / "input"},
        texts={"note": "text"},
        env={"WORD": "it's $here"},
        deadline=soon(),
        results=("out", "note", "missing"),
        watch=WATCH,
    )
    assert (output.exit_code, output.stdout, output.stderr) == (3, b"it's $here\n", b"e\n")
    assert output.files == {"out": (tmp_path / "input").read_bytes(), "note": b"text"}
    for text in (output.before, output.after):
        assert parse_snapshot(text.decode()).temperature_c == 47.2
    assert output.samples.startswith(b"edgebench-samples 1 read\n")
    points = parse_samples(output.samples)
    assert len(points) >= 2
    assert {point.temperature_c for point in points} == {47.2}
    assert {point.khz and point.khz["policy0"] for point in points} == {1_800_000}


def test_throttling_in_the_middle_of_a_launch_is_seen(
    pi: EmulatedBoard,
    pi_transport: SshTransport,
    launcher: Launcher,
    meanwhile: Callable[[Callable[[], None]], None],
) -> None:
    other = pi.transport()

    def heat() -> None:
        script = f"until grep -q ^at {launcher.directory('l1')}/.launch/samples; do sleep 0.1; done"
        said(other, "sh", "-c", f"{script} 2> /dev/null")
        pi.set(temperature_c=84.0, khz=600_000, throttled=0x40004)
        said(other, "touch", f"{launcher.directory('l1')}/hot")

    meanwhile(heat)
    try:
        output = launcher.run(
            "l1",
            ["sh", "-c", "until [ -e hot ]; do sleep 0.1; done; sleep 2.5"],
            files={},
            texts={},
            env={},
            deadline=soon(),
            watch=WATCH,
        )
    finally:
        other.close()
        pi.set(temperature_c=47.2, khz=1_800_000, throttled=0)
    before, after = (parse_snapshot(t.decode()) for t in (output.before, output.after))
    assert (before.throttled_bits, after.throttled_bits) == (0, 0x40004)
    points = parse_samples(output.samples)
    assert (points[0].temperature_c, points[-1].temperature_c) == (47.2, 84.0)
    assert points[-1].khz == {"policy0": 600_000}


def test_a_frozen_board_loses_nothing(pi: EmulatedBoard, launcher: Launcher) -> None:
    launcher.start(
        "l1", ["sh", "-c", "sleep 3; echo done"], files={}, texts={}, env={}, deadline=soon()
    )
    pi.freeze()
    try:
        with pytest.raises(DeviceOffline):
            launcher.collect("l1")
    finally:
        pi.thaw()
    assert launcher.wait("l1", deadline=soon()).stdout == b"done\n"


@pytest.mark.parametrize("way", ["power cut", "reboot"])
def test_a_restart_during_a_launch_is_never_a_result(
    pi: EmulatedBoard, pi_transport: SshTransport, launcher: Launcher, way: str
) -> None:
    launcher.run("done", ["echo", "kept"], files={}, texts={}, env={}, deadline=soon())
    launcher.start("lost", ["sleep", "1000"], files={}, texts={}, env={}, deadline=soon())
    said(pi_transport, "sync")
    if way == "reboot":
        pi.reboot()
    else:
        pi.power_cut()
        pi.boot()
    # What had ended before can still be collected.
    again = launcher.collect("done")
    assert again is not None
    assert again.stdout == b"kept\n"
    with pytest.raises(LaunchLost):
        launcher.wait("lost", deadline=soon())
    for name in ("done", "lost"):
        launcher.remove(name, deadline=soon())


# --- lease and controls -------------------------------------------------------


def state(transport: SshTransport) -> list[str]:
    return said(
        transport, "sh", "-c", f"cd {POLICY}; cat scaling_governor scaling_max_freq"
    ).split()


def test_controls_are_applied_and_put_back(pi_transport: SshTransport) -> None:
    before = state(pi_transport)
    wanted = {"governor": "performance", "max_khz": "1200000", "cores": "1", "fan": "max"}
    with leased(pi_transport) as lease:
        results = apply_controls(
            pi_transport, "linux", True, wanted, lease.journal, deadline=soon()
        )
        assert {r.name: r.outcome for r in results} == {
            "governor": "applied",
            "max_khz": "applied",
            "cores": "applied",
            "fan": "unsupported",
        }
        assert state(pi_transport) == ["performance", "1200000"]
        (cores,) = (r for r in results if r.name == "cores")
        allowed = said(
            pi_transport, *cores.argv_prefix, "grep", "Cpus_allowed_list", "/proc/self/status"
        )
        assert allowed.split() == ["Cpus_allowed_list:", "1"]
        assert all(item.restored for item in restore(pi_transport, lease.journal, deadline=soon()))
    assert state(pi_transport) == before
    assert look(pi_transport, LEASE, deadline=soon()) is None


def test_without_root_controls_are_refused_and_said(pi: EmulatedBoard, workdir: str) -> None:
    transport = pi.transport("pi")
    try:
        with leased(transport, workdir) as lease:
            (result,) = apply_controls(
                transport,
                "linux",
                True,
                {"governor": "performance"},
                lease.journal,
                deadline=soon(),
            )
    finally:
        transport.close()
    assert result.outcome == "refused"
    assert result.reason


def test_a_lease_ends_with_a_restart_and_nothing_stays_changed(
    pi: EmulatedBoard, pi_transport: SshTransport
) -> None:
    with leased(pi_transport) as lease:
        apply_controls(
            pi_transport,
            "linux",
            True,
            {"governor": "performance"},
            lease.journal,
            deadline=soon(),
        )
        said(pi_transport, "sync")
        pi.power_cut()
        pi.boot()
        left = look(pi_transport, LEASE, deadline=soon())
        assert left is not None
        assert not left.live
        with pytest.raises(LeaseLost, match="restarted"):
            lease.renew(deadline=soon())
    replayed: list[int] = []

    def replay(journal: Journal) -> None:
        replayed.append(len(journal.pending(deadline=soon())))
        restore(pi_transport, journal, deadline=soon())

    other = Lease.acquire(
        pi_transport,
        LEASE,
        Owner.here("another"),
        deadline=soon(),
        replay=replay,
    )
    assert replayed == [1]
    assert other.journal.pending(deadline=soon()) == ()
    other.release(deadline=soon())
    assert state(pi_transport)[0] == "ondemand"


# --- the emulator itself ------------------------------------------------------


def test_its_host_key_is_checked(pi: EmulatedBoard) -> None:
    known = pi.home / "known_hosts"
    text = known.read_text()
    name, kind, _ = text.split()
    known.write_text(f"{name} {kind} {paramiko.ECDSAKey.generate().get_base64()}\n")
    transport = pi.transport()
    try:
        with pytest.raises(Unauthorized):
            transport.run(["true"], deadline=soon())
    finally:
        transport.close()
        known.write_text(text)


def test_a_board_ends_with_whoever_started_it(pi: EmulatedBoard, tmp_path: Path) -> None:
    """A controller that is killed leaves no qemu behind."""
    script = (
        "import sys, time; from pathlib import Path\n"
        "from devices.emulated.board import EmulatedBoard\n"
        "board = EmulatedBoard(home=Path(sys.argv[1])); board.start()\n"
        "print(board.pid, flush=True); time.sleep(1000)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, tmp_path],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[1],
    ) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert Path(f"/proc/{pid}/comm").read_text().startswith("qemu")
        owner.kill()
    for _ in range(300):
        if not Path(f"/proc/{pid}").exists():
            return
        time.sleep(0.1)
    raise AssertionError("qemu still runs")

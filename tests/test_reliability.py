"""Every fault at every moment of a run: nothing is lost, nothing is doubled, nothing is left."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from devices.errors import Unsupported
from tests import reliability_cells as cells
from tests.reliability import measure, problems_of, stored
from tests.reliability_cells import CTRL_C, DEATHS, KEPT, KILLED, MOMENTS
from tests.reliability_links import BOARD_FAULTS, PHONE_FAULTS, BoardRig, PhoneRig

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
# Of the quick suite; everything else takes minutes.
QUICK = {
    ("adb", "lmkd kills the program or command", "pull"),
    ("adb", "the phone is unauthorized", "run"),
    ("adb", KILLED, "run"),
    ("ssh", "the server's processes are killed", "run"),
}


def matrix(link: str) -> list[object]:
    faults = (*(PHONE_FAULTS if link == "adb" else BOARD_FAULTS), KILLED, CTRL_C)
    return [
        pytest.param(f, m, marks=() if (link, f, m) in QUICK else pytest.mark.slow)
        for f in faults
        for m in MOMENTS
    ]


@pytest.fixture(scope="module")
def phone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PhoneRig]:
    try:
        rig = PhoneRig(tmp_path_factory.mktemp("phone"))
    except Unsupported as error:
        pytest.skip(str(error))
    yield rig
    rig.stop()


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BoardRig]:
    rig = BoardRig(tmp_path_factory.mktemp("board"))
    yield rig
    rig.stop()


@pytest.mark.parametrize(("fault", "moment"), matrix("adb"))
def test_a_phone_behind_a_real_adb_server(phone: PhoneRig, fault: str, moment: str) -> None:
    cell = cells.strike(phone, fault, moment)
    assert cell.outcome == KEPT, cell


@pytest.mark.parametrize(("fault", "moment"), matrix("ssh"))
def test_a_board_behind_a_real_ssh_server(board: BoardRig, fault: str, moment: str) -> None:
    cell = cells.strike(board, fault, moment)
    assert cell.outcome == KEPT, cell


def test_the_judge_sees_what_is_lost_doubled_invented_and_left(
    phone: PhoneRig, tmp_path: Path
) -> None:
    lab = phone.lab(tmp_path)
    try:
        assert measure(lab, phone.way.device()) == ()
        data, ran = stored(lab), phone.ran()
        assert problems_of(data, ran) == []
        assert phone.dirt() == []
        known = ran.begun[1]
        launches = data.launches
        for wrong, its_data, its_ran in (
            ("lost", data, replace(ran, ended=ran.ended | {"another"})),
            ("did not end", data, replace(ran, ended=ran.ended - {known})),
            ("ran twice", data, replace(ran, begun=(*ran.begun, known))),
            ("lost", replace(data, launches=launches[1:]), ran),
            ("attempts are []", replace(data, launches=launches[:1]), ran),
            ("stored twice", replace(data, launches=(*launches, launches[1])), ran),
            ("1 happened", data, ran),
        ):
            crashes = int(wrong == "1 happened")
            assert wrong in "; ".join(problems_of(its_data, its_ran, crashes=crashes))
        phone.phone.state.put_setting("global", "stay_on_while_plugged_in", "7")
        phone.leave("edgebench/runs/abc")
        phone.leave("edgebench/blobs/abc")
        assert len(phone.dirt()) >= 3
    finally:
        phone.wipe()


@pytest.mark.slow
@pytest.mark.parametrize("moments", DEATHS, ids=", ".join)
def test_a_controller_that_dies_at_the_worst_moment(
    phone: PhoneRig, moments: tuple[str, ...]
) -> None:
    cell = cells.deaths(phone, moments)
    assert cell.outcome == KEPT, cell


@pytest.mark.slow
def test_a_launch_that_still_runs_is_waited_for_by_whoever_resumes(phone: PhoneRig) -> None:
    phone.sleep(5.0)
    try:
        cell = cells.deaths(phone, ("run",))
    finally:
        phone.sleep(0.4)
    assert cell.outcome == KEPT, cell


def rows(name: str) -> dict[str, list[str]]:
    """First column -> the others, of the table between the marks of that name."""
    _, _, rest = PAGE.read_text().partition(f"<!-- {name} -->\n")
    text, found, _ = rest.partition(f"<!-- /{name} -->")
    assert found, f"docs/reliability.md has no table {name}"
    lines = [line.strip("| ").split(" | ") for line in text.strip().splitlines()]
    return {first: others for first, *others in lines[2:]}


@pytest.mark.parametrize(
    ("name", "firsts", "columns"),
    [
        ("adb", [*PHONE_FAULTS, KILLED, CTRL_C], len(MOMENTS)),
        ("ssh", [*BOARD_FAULTS, KILLED, CTRL_C], len(MOMENTS)),
        ("deaths", [", then ".join(cells.TITLES[m] for m in moments) for moments in DEATHS], 1),
    ],
)
def test_the_page_has_every_cell_and_each_was_kept(
    name: str, firsts: list[str], columns: int
) -> None:
    found = rows(name)
    assert list(found) == firsts
    for first, words in found.items():
        assert len(words) == columns, first
        assert all(word.startswith(f"{KEPT}: ") for word in words), (first, words)

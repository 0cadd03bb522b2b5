"""Where servers keep their data, and who may get at it."""

import os
import stat
from pathlib import Path

import pytest

from shanmen.platform.servers.accounts import Account, is_root
from shanmen.platform.servers.errors import ServerInUse, StateUnusable
from shanmen.platform.servers.state import OwnerLock, StateDir

STRANGER = Account("stranger", 64_999, 64_999)


def state_in(path: Path) -> StateDir:
    return StateDir.of_checkout(path, {"SHANMEN_STATE": str(path / "state")})


def test_a_secret_is_drawn_once_and_only_we_can_read_it(tmp_path: Path) -> None:
    drawn = state_in(tmp_path).secret("postgres-password")

    assert state_in(tmp_path).secret("postgres-password") == drawn
    assert state_in(tmp_path).secret("another") != drawn
    assert len(drawn) >= 32
    file = tmp_path / "state" / "secrets" / "postgres-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    left = sorted(path.name for path in file.parent.iterdir())
    assert left == ["another", "postgres-password"]


def test_a_note_is_replaced_whole_and_a_missing_one_is_none(tmp_path: Path) -> None:
    state = state_in(tmp_path)

    assert state.read_json("ports") is None
    state.write_json("ports", {"edge": 1})
    state.write_json("ports", {"edge": 2, "名": "山门"})
    assert state.read_json("ports") == {"edge": 2, "名": "山门"}


def test_state_says_which_checkout_it_belongs_to(tmp_path: Path) -> None:
    assert state_in(tmp_path).read_json("checkout") == {"path": str(tmp_path)}


@pytest.mark.parametrize(
    ("mode", "reachable"), [(0o700, False), (0o711, True), (0o755, True), (0o710, False)]
)
def test_an_account_reaches_a_folder_only_through_open_ones(
    tmp_path: Path, mode: int, reachable: bool
) -> None:
    closed = tmp_path / "closed"
    folder = closed / "data"
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    for parent in (tmp_path, *tmp_path.parents):
        if parent.stat().st_uid == os.geteuid() and not parent.stat().st_mode & stat.S_IXOTH:
            parent.chmod(parent.stat().st_mode | stat.S_IXOTH)
    closed.chmod(mode)

    assert STRANGER.can_enter(folder) is reachable


def test_a_state_folder_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file in the way")

    with pytest.raises(StateUnusable, match="SHANMEN_STATE"):
        state_in(tmp_path)


def test_servers_accounts_pass_through_the_state_but_cannot_list_it(tmp_path: Path) -> None:
    folder = state_in(tmp_path).directory("postgres")

    expected = 0o711 if is_root() else 0o700
    assert stat.S_IMODE(folder.stat().st_mode) == expected
    assert stat.S_IMODE(folder.parent.stat().st_mode) == expected


def test_only_throwaway_state_can_be_removed(tmp_path: Path) -> None:
    state = state_in(tmp_path)
    with pytest.raises(ValueError, match="not a throwaway"):
        state.remove()
    assert state.path.is_dir()

    StateDir(state.path, throwaway=True).remove()
    assert not state.path.exists()


def test_a_lock_has_one_holder_and_names_it(tmp_path: Path) -> None:
    first, second = OwnerLock(tmp_path / "lock"), OwnerLock(tmp_path / "lock")
    first.take("PostgreSQL")

    with pytest.raises(ServerInUse, match=f"PostgreSQL is already running.*process {os.getpid()}"):
        second.take("PostgreSQL")
    first.release()
    second.take("PostgreSQL")
    assert second.held
    assert not first.held

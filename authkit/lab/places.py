"""Where labs live: the state folder, the folder of each, free ports, short sockets."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import stat
import tempfile
from pathlib import Path

from authkit.errors import ConfigError, InvalidInput, LabError
from authkit.lab.account import Account
from authkit.lab.state import LabState, NodeState, check_name

HOST = "127.0.0.1"
# A socket's path ends up in sockaddr_un.sun_path: 108 bytes with its final NUL.
_LONGEST_SOCKETS = 107 - len("/.s.PGSQL.65535.lock")
_ROOM_BYTES = 2 * 1024**3
_PORTS = range(15_000, 32_000)


def state_root(asked: Path | None = None) -> Path:
    """Return the state folder: the one asked for, AUTHKIT_STATE_DIR, or the user's.

    Root's own home is closed to the account that runs the servers, so root's labs
    live in /var/lib/authkit.

    Raises:
        ConfigError: the environment or `.env` is malformed.
    """
    if asked is None:
        from authkit.settings import Settings

        asked = Settings.load().authkit_state_dir
    if asked is not None:
        return asked.expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/authkit")
    home = os.environ.get("XDG_STATE_HOME") or "~/.local/state"
    return Path(home).expanduser() / "authkit"


def memory_root() -> Path | None:
    """Return this user's state folder in memory; None where there is no room for one.

    AUTHKIT_STATE_DIR goes before it: who names a folder means it.

    Raises:
        ConfigError: the environment or `.env` is malformed.
    """
    from authkit.settings import Settings

    if Settings.load().authkit_state_dir is not None:
        return None
    folder = _memory_folder()
    if not folder.exists():
        roomy = os.access(folder.parent, os.W_OK | os.X_OK) and (
            shutil.disk_usage(folder.parent).free >= _ROOM_BYTES
        )
        if not roomy:
            return None
        folder.mkdir(mode=0o711, exist_ok=True)
    return folder if _is_mine(folder) else None


def roots(asked: Path | None = None) -> tuple[Path, ...]:
    """Return the state folders in which to look for labs."""
    if asked is not None:
        return (state_root(asked),)
    memory = _memory_folder()
    return (state_root(), *([memory] if _is_mine(memory) else []))


def _memory_folder() -> Path:
    return Path("/dev/shm") / f"authkit-{os.geteuid()}"  # noqa: S108 # see _is_mine


def _is_mine(folder: Path) -> bool:
    # Anybody may make a folder of any name there, or a link.
    try:
        found = folder.lstat()
    except FileNotFoundError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def folder_of(root: Path, name: str) -> Path:
    """Return the folder of a lab."""
    return root / "labs" / check_name(name)


def folders(root: Path) -> tuple[Path, ...]:
    """Return the folders of all labs of a state folder, half-made ones too."""
    try:
        return tuple(sorted(p for p in (root / "labs").iterdir() if p.is_dir()))
    except (FileNotFoundError, NotADirectoryError):
        return ()


def make_folder(root: Path, name: str, account: Account) -> Path:
    """Make the folder of a new lab, which the servers' account can enter.

    Raises:
        ConfigError: the state folder cannot be written, or not be entered.
        LabError: a lab of this name exists.
    """
    folder = folder_of(root, name)
    made = [p for p in (folder.parent, *folder.parent.parents) if not p.exists()]
    remedy = "name another one with AUTHKIT_STATE_DIR or --dir"
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if folder.is_dir():
            raise LabError(
                f"lab {name} exists already: take another name, "
                f"or remove it with `authkit lab down {name}`"
            ) from None  # the path adds nothing
        raise ConfigError([f"{folder.parent} is not a folder"]) from None  # the same
    except OSError as exc:
        _unmake(made)
        fault = f"the state folder {root} cannot be written ({exc.strerror})"
        raise ConfigError([f"{fault}: {remedy}"]) from exc
    if account.switch:
        folder.chmod(0o711)
        with account.spawn(
            ["/bin/sh", "-c", 'test -x "$1"', "sh", folder], home=Path("/")
        ) as trial:
            trial.communicate()
        if trial.returncode:
            _unmake([folder, *made])
            fault = f"account {account.name}, who runs PostgreSQL for root, cannot "
            fault += f"enter the state folder {root}"
            raise ConfigError([f"{fault}: {remedy}"])
    return folder


def _unmake(folders: list[Path]) -> None:
    for path in folders:
        with contextlib.suppress(OSError):  # never made, or in use by another lab
            path.rmdir()


def socket_folder(folder: Path, account: Account) -> Path:
    """Make the folder of a lab's sockets: its own, or a short one where it must be."""
    chosen = folder / "sockets"
    if len(os.fsencode(chosen)) > _LONGEST_SOCKETS:
        chosen = Path(tempfile.mkdtemp(prefix="authkit-"))
        if len(os.fsencode(chosen)) > _LONGEST_SOCKETS:
            chosen.rmdir()
            chosen = Path(
                tempfile.mkdtemp(prefix="authkit-", dir="/tmp")
            )  # mkdtemp makes it ours alone
    else:
        chosen.mkdir()
    account.own(chosen, 0o700)
    return chosen


def has_own_sockets(folder: Path, lab: LabState) -> bool:
    """Tell whether a lab's sockets live outside its folder."""
    return not Path(lab.sockets).is_relative_to(folder)


def plan_nodes(
    replicas: int, port: int | None, reserved: frozenset[int] = frozenset()
) -> tuple[NodeState, ...]:
    """Name the nodes and give each its port.

    Args:
        replicas: how many nodes follow the first.
        port: the first node's; None: free ones.
        reserved: ports of nodes that are down, not to be given away.

    Raises:
        InvalidInput: fewer than no replicas, too many, or no such port.
        LabError: a port that was asked for is taken.
    """
    if not 0 <= replicas <= 8:  # eight senders are a machine's fill
        raise InvalidInput(f"{replicas} replicas: a lab has 0 to 8")
    count = replicas + 1
    if port is None:
        ports = _free_ports(count, reserved)
    else:
        if not 1024 <= port <= 65_536 - count:  # what TCP has
            raise InvalidInput(f"port {port} is not between 1024 and {65_536 - count}")
        ports = list(range(port, port + count))
        for asked in ports:
            if not is_free(asked):
                raise LabError(
                    f"port {asked} on {HOST} is taken: ask for another one, or for "
                    "none and a free one is found"
                )
    return tuple(
        NodeState(f"node{n}", p, None if n == 1 else "node1")
        for n, p in enumerate(ports, start=1)
    )


def is_free(port: int) -> bool:
    """Tell whether a server could listen on a loopback port now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError:
            return False
    return True


def _free_ports(count: int, reserved: frozenset[int]) -> list[int]:
    # Below the range of outgoing connections: a port stays ours while a node is down.
    found: list[int] = []
    for candidate in random.SystemRandom().sample(_PORTS, len(_PORTS)):
        if candidate not in reserved and is_free(candidate):
            found.append(candidate)
        if len(found) == count:
            return found
    raise LabError(f"no free port on {HOST} between 15000 and 32000")

"""The user of a process: from the names of a user and a group to a process that is that user.

`find` reads and checks before anything is bound; `Identity.assume` is the one-way step, with the
supplementary groups, taken by each worker before the application is imported, or by the master
before it preloads one. Nothing of root is left afterwards.
"""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import MutableMapping
from typing import NamedTuple

from bare_serve import version
from bare_serve.errors import BareServeError, UsageError

_MOST = 2**32 - 2  # the one above says "leave it as it is" (setresuid(2))


_ROOTS = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "MAIL")
"""Variables of a login that lead to places of that user alone."""
_SUDO = "SUDO_"
_NEEDED = {"this Python": os.__file__, "this bare-serve": version.__file__}
"""A file of each."""


class Identity(NamedTuple):
    """A user and groups to be."""

    uid: int
    gid: int
    groups: tuple[int, ...] = ()
    name: str = ""
    home: str = ""

    def assume(self) -> None:
        """Become that user; done twice it does nothing.

        Raises:
            BareServeError: that is refused.
            UsageError: that user cannot read what it is to run.
        """
        if self._is_assumed():
            return
        readable = [each for each in _NEEDED.items() if os.access(each[1], os.R_OK)]
        try:
            os.setgroups(self.groups)
            os.setresgid(self.gid, self.gid, self.gid)
            os.setresuid(self.uid, self.uid, self.uid)
        except OSError as error:
            raise BareServeError(f"Cannot become user {self}: {error.strerror}.") from None
        # Whatever is imported later would be missing, and the traceback would not say why.
        for what, file in readable:
            if not os.access(file, os.R_OK):
                raise UsageError(
                    f"--user {self}: that user cannot read {what} ({file}): "
                    "install one that it can read, or open its directories"
                )
        self.dress(os.environ)

    def _is_assumed(self) -> bool:
        if (os.getresuid(), os.getresgid()) != ((self.uid,) * 3, (self.gid,) * 3):
            return False
        # Of root's own groups, which `--user root` may be there to drop, root alone can let go.
        return os.geteuid() != 0 or {self.gid, *os.getgroups()} == {self.gid, *self.groups}

    def dress(self, environ: MutableMapping[str, str]) -> None:
        """Have an environment speak of that user, as far as it is known, and of root no more."""
        if self.uid != 0:
            for name in [name for name in environ if name in _ROOTS or name.startswith(_SUDO)]:
                # A name as short as MAIL may be an application's own; root's is a mailbox's path.
                if name != "MAIL" or environ[name].startswith("/"):
                    del environ[name]
        if name := self.name:
            environ.update({"HOME": self.home, "USER": name, "LOGNAME": name})

    def __str__(self) -> str:
        return self.name or str(self.uid)


def find(user: str | None, group: str | None) -> Identity | None:
    """Return the identity of these names or numbers; None if nothing is asked or changes."""
    if user is None and group is None:
        return None
    uid, gid, name, home = os.getuid(), os.getgid(), "", ""
    if user is not None:
        uid, gid, name, home = _user(user, gid)
        if not name and group is None:
            raise UsageError(f"--user {user}: no such user is known here; give --group as well")
    if group is not None:
        gid = _group(group)
    if os.geteuid() == 0:
        groups = os.getgrouplist(name, gid) if name else [gid]
        return Identity(uid, gid, tuple(groups), name, home)
    if (uid, gid) == (os.getuid(), os.getgid()):
        return None
    flag = f"--user {user}" if user is not None else f"--group {group}"
    raise UsageError(f"{flag}: only root can become somebody else; leave it out or start as root")


def _user(text: str, gid: int) -> tuple[int, int, str, str]:
    try:
        entry = pwd.getpwuid(_number(text)) if text.isdecimal() else pwd.getpwnam(text)
    except (KeyError, ValueError):  # ValueError: a NUL, which no name has
        if text.isdecimal():
            return int(text), gid, "", ""
        raise UsageError(f"--user {text}: there is no such user") from None
    return entry.pw_uid, entry.pw_gid, entry.pw_name, entry.pw_dir


def _number(text: str, flag: str = "--user") -> int:
    if len(text.lstrip("0")) > 10 or int(text) > _MOST:
        raise UsageError(f"{flag} {text}: the greatest number there can be is {_MOST}")
    return int(text)


def _group(text: str) -> int:
    if text.isdecimal():
        return _number(text, "--group")
    try:
        return grp.getgrnam(text).gr_gid
    except (KeyError, ValueError):
        raise UsageError(f"--group {text}: there is no such group") from None

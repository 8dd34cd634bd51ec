"""The certificate that new connections get, read again when its files change.

What lives here: one object, made by the master before it forks, so that the key is read while the
process may still read it, and so that workers share the keys of session tickets. The master's tick
looks at the files; what is new and good goes to the workers through memory that they share, since
they may be another user by then. What must not: what is wrong with a file (context.py), signals.

Workers give a new certificate to the context they have: open connections keep theirs, and tickets
stay good. Only new authorities make a new context: old tickets would let old clients in unasked.
"""

from __future__ import annotations

import logging
import math
import mmap
import os
import ssl
import struct
import time
from pathlib import Path
from typing import NamedTuple

from bare_serve.errors import UsageError
from bare_serve.tls import TlsOptions, x509
from bare_serve.tls.context import Material, load_pair, make_context, read_material
from bare_serve.tls.facts import suites_of

logger = logging.getLogger("bare_serve.tls")

_ROOM = 4 << 20
_HEAD = struct.Struct("qqqq")  # the number of the edition, and three lengths
_EDITION, _LENGTHS = struct.Struct("q"), struct.Struct("qqq")

_Stamp = list[tuple[int, int, int] | None]


class Served(NamedTuple):
    """What a new connection gets."""

    context: ssl.SSLContext
    server_cert: str
    """The certificate itself, in PEM form."""
    suites: dict[str, int]


class Certificates:
    """The current certificate. `served` is replaced as a whole, so no reader sees half of it."""

    def __init__(self, options: TlsOptions) -> None:
        """Read the files; UsageError if they cannot be used."""
        self.options = options
        self._material = read_material(options)
        self._stamp = self._seen = self._look()
        self.served = self._made(make_context(options, self._material))
        self._is_faulty = False
        self._owner = os.getpid()
        self._edition = 0
        self._shared = mmap.mmap(-1, _ROOM)  # its pages are taken when they are written to
        if (left := self.not_after() - time.time()) < 0:
            logger.warning("The certificate in %s has expired.", options.certfile)
        elif left < 86400:
            logger.warning("The certificate in %s expires within a day.", options.certfile)
        self._look_at_lists()

    def tick(self) -> None:
        """Look for a change; called once a second by the master and by each worker's loop."""
        if os.getpid() == self._owner:
            self._watch()
        else:
            self._catch_up()

    def reread(self) -> None:
        """Read the files now; what cannot be used is logged, and changes nothing."""
        self._stamp = self._seen = self._look()
        try:
            material = read_material(self.options)
            if material == self._material:
                self._tell_that_it_is_well()
                return
            make_context(self.options, material)  # a trial: a live one must not fail halfway
        except UsageError as error:
            logger.error("%s. The certificate there was stays.", error)
            self._is_faulty = True
            return
        before = self._material
        self._use(material)
        self._publish(material)
        if material.authorities != before.authorities:
            logger.info("The authorities in %s are new.", self.options.ca_certs)
            self._look_at_lists()
        if (material.chain, material.key) != (before.chain, before.key):
            logger.info("The certificate is new: %s.", self.describe())
        self._tell_that_it_is_well()

    def _tell_that_it_is_well(self) -> None:
        if self._is_faulty:
            self._is_faulty = False
            logger.warning("The certificate is well again: %s.", self.describe())

    def describe(self) -> str:
        """Return its subject and how long it is valid, for people."""
        try:
            certificate = x509.read_pem(self.served.server_cert)
        except ValueError:
            return self.options.certfile
        until = time.strftime("%Y-%m-%d", time.gmtime(certificate.not_after))
        subject = x509.openssl_dn(certificate.subject) or self.options.certfile
        return f"{subject}, valid until {until}"

    def _look_at_lists(self) -> None:
        self._lists_end = x509.lists_end(self._material.authorities)
        self._tell_expired_lists()

    def _tell_expired_lists(self) -> None:
        """Once for each file: from then on clients are refused."""
        if self._lists_end < time.time():
            self._lists_end = math.inf
            logger.warning(
                "A revocation list in %s has expired: clients whose certificates are of its "
                "authority are refused until there is a newer one.",
                self.options.ca_certs,
            )

    def not_after(self) -> float:
        """Return when the certificate expires, in seconds since 1970; infinite if unknown."""
        try:
            return x509.read_pem(self.served.server_cert).not_after
        except ValueError:
            return float("inf")

    def _look(self) -> _Stamp:
        options = self.options
        return [_stamp(path) for path in (options.certfile, options.keyfile, options.ca_certs)]

    def _watch(self) -> None:
        """Act on a change when a second look sees the same: files change one after the other."""
        self._tell_expired_lists()
        seen, self._seen = self._seen, self._look()
        if self._seen != self._stamp and self._seen == seen:
            self.reread()

    def _publish(self, material: Material) -> None:
        parts = (material.chain, material.key, material.authorities)
        self._edition += 1
        # No worker reads while it says 0: one that is in the middle of it sees another number than
        # it began with.
        _EDITION.pack_into(self._shared, 0, 0)
        start = _HEAD.size
        for part in parts:
            self._shared[start : start + len(part)] = part
            start += len(part)
        _LENGTHS.pack_into(self._shared, _EDITION.size, *map(len, parts))
        _EDITION.pack_into(self._shared, 0, self._edition)  # last: with it all of it is there

    def _catch_up(self) -> None:
        edition, *lengths = _HEAD.unpack_from(self._shared)
        if edition in (0, self._edition):
            return
        if min(lengths) < 0 or sum(lengths) > _ROOM - _HEAD.size:
            self._refuse(edition)
            return
        parts, start = [], _HEAD.size
        for length in lengths:
            parts.append(self._shared[start : start + length])
            start += length
        if _HEAD.unpack_from(self._shared)[0] == edition:  # else the next tick sees the newer one
            self._edition = edition
            material = Material(*parts)
            try:
                make_context(self.options, material)  # a trial, as the master's
                self._use(material)
            except UsageError:
                self._refuse(edition)

    def _refuse(self, edition: int) -> None:
        """Refuse what stands in the memory, which the application can write to as well."""
        self._edition = edition
        logger.error("What the application left of a new certificate cannot be used.")

    def _use(self, material: Material) -> None:
        before, self._material = self._material, material
        if material.authorities == before.authorities:
            load_pair(self.served.context, self.options, material)
            self.served = self._made(self.served.context)
        else:
            self.served = self._made(make_context(self.options, material))

    def _made(self, context: ssl.SSLContext) -> Served:
        return Served(context, x509.first_pem(self._material.chain), suites_of(context))


def _stamp(path: str) -> tuple[int, int, int] | None:
    if not path:
        return None
    try:
        found = Path(path).stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size

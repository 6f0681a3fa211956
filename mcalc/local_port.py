"""Ports of this machine, looked at before a server of another package is started on one."""

from __future__ import annotations

import socket
from errno import EADDRINUSE

from mcalc.errors import UserError, shown

_HIGHEST = 65_535
_DIGITS = len(str(_HIGHEST))


def check_port(text: str, variable: str) -> None:
    """Raise UserError where `text` is no port of 127.0.0.1 that a server can be started on.

    `variable`: that of `make` which names it, as PORT.
    """
    if not (
        text.isascii() and text.isdecimal() and len(text) <= _DIGITS and 0 < int(text) <= _HIGHEST
    ):
        raise UserError(
            f"{variable}={shown(text)} is no port: expected a whole number from 1 to {_HIGHEST}, "
            f"as {variable}=5050"
        )
    with socket.socket() as found:
        # as servers do: connections of an earlier one that have not quite ended do not count
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            found.bind(("127.0.0.1", int(text)))
        except OSError as error:
            why = (
                "is taken: another program answers there, perhaps an earlier one of these"
                if error.errno == EADDRINUSE
                else f"cannot be used ({error.strerror})"
            )
            raise UserError(
                f"port {text} of 127.0.0.1 {why}; name another with {variable}=NUMBER"
            ) from error

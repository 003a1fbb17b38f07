"""paramiko's Transport with what deployer needs of it: streamlocal channels, refusals told apart, signs of life.

Imported late (paramiko is heavy). Knows nothing of inventories, and never talks to people.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable
from typing import Any

import paramiko
from paramiko.common import cMSG_CHANNEL_CLOSE, cMSG_GLOBAL_REQUEST
from paramiko.message import Message

logging.getLogger("paramiko").addHandler(logging.NullHandler())
logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)

STREAMLOCAL = "direct-streamlocal@openssh.com"
PROHIBITED, CONNECT_FAILED, UNKNOWN_KIND = 1, 2, 3  # RFC 4254, 5.1
UNANSWERED = 3  # signs of life without an answer: the connection is dead


class ChannelRefused(Exception):
    """The other side said no to a channel: the code of RFC 4254 and its own words."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(words)
        self.code = code
        self.words = words


class ConnectionGone(Exception):
    """The connection died under a channel, or while one was opened."""


class Session(paramiko.Transport):  # type: ignore[misc]
    """One authenticated SSH connection."""

    # Seconds between an idle connection's looks at its clock, ten a second in paramiko: 1000 hosts would cost a core.
    _active_check_timeout = 1.0

    def __init__(self, sock: Any, host_key_kinds: tuple[str, ...] = (), **kwargs: Any) -> None:
        self._host_key_kinds = host_key_kinds
        self._opening = threading.local()
        self._sending = threading.local()
        self._refusals: dict[int, ChannelRefused] = {}
        self._unanswered = 0
        super().__init__(sock, **kwargs)

    @property
    def preferred_keys(self) -> tuple[str, ...]:
        """Host key types in the order to ask for: those known for the host first."""
        usual: tuple[str, ...] = super().preferred_keys
        plain = [kind for kind in usual if "-cert-" not in kind]
        wanted = [kind for kind in self._host_key_kinds if kind in usual]
        return tuple(dict.fromkeys([*wanted, *plain]))

    @property
    def preferred_ciphers(self) -> tuple[str, ...]:
        """As OpenSSH orders them, AES-GCM before AES-CTR: paramiko compares each MAC of the latter in Python."""
        usual: tuple[str, ...] = super().preferred_ciphers
        return tuple(sorted(usual, key=lambda name: "-gcm" not in name))

    def open_stream(
        self, kind: str, timeout: float, *, socket_path: str = "", target: tuple[str, int] = ("", 0)
    ) -> Any:
        """A channel. ChannelRefused, TimeoutError, or ConnectionGone."""
        self._opening.path = socket_path
        self._opening.id = None
        try:
            where = {"dest_addr": target, "src_addr": ("127.0.0.1", 0)} if kind == "direct-tcpip" else {}
            channel = self.open_channel(kind, timeout=timeout, **where)
        except Exception as error:  # whatever paramiko's thread stumbled over comes out here
            refusal = self._refusals.pop(self._opening.id, None) if self._opening.id is not None else None
            if refusal is not None:
                raise refusal from None
            if self.is_active():
                raise TimeoutError(f"no answer within {timeout:g} s") from error
            raise ConnectionGone(str(error)) from error
        finally:
            self._opening.path = None
        channel.transport = Outlet(self, channel)
        return channel

    def send_for(self, channel: Any, data: Any) -> None:
        """Sends a channel's message, unless the channel is closed by the time its turn comes."""
        self._sending.channel = channel
        try:
            self._send_user_message(data)
        finally:
            self._sending.channel = None

    def _send_message(self, data: Any) -> None:
        # One at a time: a channel that is open here sends its close later than this.
        channel = getattr(self._sending, "channel", None)
        if channel is None or not channel.closed or data.asbytes()[:1] == cMSG_CHANNEL_CLOSE:
            super()._send_message(data)

    def _send_user_message(self, data: Any) -> None:
        # open_channel builds CHANNEL_OPEN without the fields of kinds it does not know, and hands it in right here,
        # in the caller's thread: the moment to add them, and to learn the channel's number.
        path = getattr(self._opening, "path", None)
        if path is not None:
            self._opening.path = None
            opened = Message(data.asbytes()[1:])
            kind = opened.get_text()
            self._opening.id = opened.get_int()
            if kind == STREAMLOCAL:  # OpenSSH's PROTOCOL, 2.4
                data.add_string(path)
                data.add_string("")
                data.add_int(0)
        super()._send_user_message(data)

    def _parse_channel_open_failure(self, m: Any) -> None:
        number, code, words = m.get_int(), m.get_int(), m.get_text()
        self._refusals[number] = ChannelRefused(code, words)
        m.rewind()
        super()._parse_channel_open_failure(m)

    def close(self) -> None:
        if isinstance(self.sock, socket.socket):  # wakes the reading thread; a jump host's channel does by its close
            with contextlib.suppress(OSError):
                self.sock.shutdown(socket.SHUT_RDWR)
        super().close()

    def show_life(self, interval: float) -> None:
        """Asks for an answer every `interval` idle seconds; paramiko's own keepalive never looks for one."""
        self.packetizer.set_keepalive(interval, self._ask)

    def _ask(self) -> None:
        if self._unanswered >= UNANSWERED:
            raise paramiko.SSHException("no sign of life")  # in the reading thread: ends the connection
        self._unanswered += 1
        question = Message()
        question.add_byte(cMSG_GLOBAL_REQUEST)
        question.add_string("keepalive@openssh.com")
        question.add_boolean(True)
        self._send_user_message(question)

    def _parse_request_success(self, m: Any) -> None:
        self._unanswered = 0
        super()._parse_request_success(m)

    def _parse_request_failure(self, m: Any) -> None:
        self._unanswered = 0
        super()._parse_request_failure(m)


class Outlet:
    """The session as one of its channels sees it, whose messages end with its close.

    paramiko builds a message under the channel's lock and sends it after: an end of file may follow the close with
    which its own thread answered the host's, and sshd ends the whole connection for it ("packet referred to nonexistent
    channel", channel_from_packet_id in OpenSSH's channels.c).
    """

    def __init__(self, session: Session, channel: Any) -> None:
        self._session = session
        self._channel = channel

    def _send_user_message(self, data: Any) -> None:
        self._session.send_for(self._channel, data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


class ChannelPipe:
    """A channel with a socket's manners: sending into a closed one fails, a lost connection is not an end of file."""

    def __init__(
        self, channel: Any, lost: Callable[[], BaseException], on_close: Callable[[], None] | None = None
    ) -> None:
        self.channel = channel
        self._lost = lost
        self._on_close = on_close
        self._closing = False

    def recv(self, size: int, /) -> bytes:
        data: bytes = self.channel.recv(size)
        if not data and not self._closing and not self.channel.transport.is_active():
            raise self._lost()
        return data

    def sendall(self, data: Any, /) -> None:
        try:
            while data:
                sent = self.channel.send(data)
                if sent == 0:
                    raise BrokenPipeError("the channel is closed")
                data = data[sent:]
        except TimeoutError:
            raise
        except OSError:
            if self._closing or self.channel.transport.is_active():
                raise
        if not self._closing and not self.channel.transport.is_active():
            raise self._lost()

    def hung_up(self) -> bool:
        channel = self.channel
        return bool(channel.closed or channel.eof_received or channel.recv_ready() or not channel.transport.is_active())

    def settimeout(self, timeout: float | None, /) -> None:
        self.channel.settimeout(timeout)

    def shutdown(self, how: int, /) -> None:
        if how == socket.SHUT_WR:
            self.channel.shutdown_write()

    def fileno(self) -> int:
        return int(self.channel.fileno())

    def close(self) -> None:
        self._closing = True
        self.channel.close()
        release, self._on_close = self._on_close, None
        if release is not None:
            release()

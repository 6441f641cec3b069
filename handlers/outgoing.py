"""How much of what was written has the peer not taken yet?

The kernel swallows a send buffer's worth before a write has to wait, thousands of tokens. Asking it
tells much earlier that a reader has fallen behind.
"""

from __future__ import annotations

import struct
import sys

from handlers.base import BaseHandler

if sys.platform == "linux":
    import fcntl
    import termios

    def _in_kernel(descriptor: int) -> int:
        """Bytes in the send queue, those not acknowledged included (SIOCOUTQ, see tcp(7))."""
        answer = fcntl.ioctl(descriptor, termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])

else:

    def _in_kernel(descriptor: int) -> int:
        """Not to be had here: `streams.send_buffer` alone bounds it."""
        return 0


def unsent(handler: BaseHandler) -> int:
    """Bytes of the answer that wait in the kernel; 0 for a connection that is closed."""
    stream = getattr(handler.request.connection, "stream", None)
    if stream is None or stream.closed():
        return 0
    try:
        return _in_kernel(stream.fileno())
    except OSError:
        return 0

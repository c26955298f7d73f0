"""A far server: a proxy before a local one, as a process of its own, with a long and narrow line between.

    python far.py PORT ROUND_TRIP RATE    # of the server; seconds; bytes a second, in each direction

Prints the port on which it serves. All connections share the line, as those of one machine to one far site
do. Each piece waits for its turn on the line, and arrives half a round trip later; many are under way at
once. A connection is open after a whole round trip. It knows nothing of lost packets, nor of windows that
open slowly: it is a line that is used well.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_PIECE = 1 << 18
_QUEUED = 0.02  # seconds of the line that may wait for their turn, before a sender has to


class Direction:
    """One way along the line."""

    def __init__(self, delay: float, rate: float) -> None:
        self._delay, self._rate = delay, rate
        self._free = 0.0  # when the line has sent all it was given

    async def take(self, count: int) -> float:
        """Waits until the line takes some bytes, and says when they arrive."""
        now = asyncio.get_running_loop().time()
        self._free = max(now, self._free) + count / self._rate
        arrives = self._free + self._delay
        await asyncio.sleep(self._free - now - _QUEUED)
        return arrives


class Line:
    """The proxy: the server behind it, and both ways there."""

    def __init__(self, port: int, round_trip: float, rate: float) -> None:
        self._port, self._round_trip = port, round_trip
        self._there, self._back = (Direction(round_trip / 2, rate) for _ in range(2))

    async def connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serves one connection, until both ends are done."""
        await asyncio.sleep(self._round_trip)
        behind = await asyncio.open_connection("127.0.0.1", self._port, limit=_PIECE)
        with contextlib.suppress(OSError):
            await asyncio.gather(
                _carry(reader, behind[1], self._there), _carry(behind[0], writer, self._back)
            )
        for each in (writer, behind[1]):
            each.close()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, way: Direction) -> None:
    under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
    arriving = asyncio.create_task(_arrive(under_way, writer))
    while data := await reader.read(_PIECE):
        under_way.put_nowait((await way.take(len(data)), data))
    under_way.put_nowait((await way.take(0), b""))
    await arriving


async def _arrive(under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter) -> None:
    clock = asyncio.get_running_loop().time
    while True:
        due, data = await under_way.get()
        await asyncio.sleep(due - clock())
        if not data:
            writer.write_eof()
            return
        writer.write(data)
        await writer.drain()


async def _serve(port: int, round_trip: float, rate: float) -> None:
    line = Line(port, round_trip, rate)
    server = await asyncio.start_server(line.connect, "127.0.0.1", 0, limit=_PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


@contextmanager
def line(host: str, round_trip: float, rate: float) -> Iterator[str]:
    """The host and port at which a server is far away, while the block runs."""
    port = host.rpartition(":")[2]
    command = [sys.executable, __file__, port, str(round_trip), str(rate)]
    proxy = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert proxy.stdout
    try:
        yield f"127.0.0.1:{proxy.stdout.readline().strip()}"
    finally:
        proxy.terminate()
        proxy.wait()
        proxy.stdout.close()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))

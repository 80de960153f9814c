"""Hands bytes on between a TCP port and a Unix socket: a way into a network namespace.

``python relay.py tcp:PORT unix:PATH`` listens at the first on loopback and connects to the second.
"""

import asyncio
import sys

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def connect(address: str) -> Streams:
    """Connect to ``tcp:PORT`` or ``unix:PATH``."""
    kind, _, where = address.partition(":")
    if kind == "tcp":
        return await asyncio.open_connection("127.0.0.1", int(where))
    return await asyncio.open_unix_connection(where)


async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Hand everything on, then the end."""
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def relay(listen: str, to: str) -> None:
    """Serve for ever."""

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await connect(to)
        except OSError:
            writer.close()
            return
        await asyncio.gather(pour(reader, back), pour(there, writer))

    kind, _, where = listen.partition(":")
    if kind == "tcp":
        server = await asyncio.start_server(accept, "127.0.0.1", int(where))
    else:
        server = await asyncio.start_unix_server(accept, where)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:3]))

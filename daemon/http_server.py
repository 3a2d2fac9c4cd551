"""Binding the HTTP interface to its address."""

import contextlib
import errno
from collections.abc import AsyncIterator, Callable

from aiohttp import web

from daemon.settings import Settings
from domain.errors import Refused

SHUTDOWN_S_MAX = 2.0


@contextlib.asynccontextmanager
async def serve(
    app: web.Application, settings: Settings, *, say: Callable[[str], None]
) -> AsyncIterator[str]:
    """Serve while the block runs and yield the URL. Raises Refused when the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=SHUTDOWN_S_MAX)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.http_host, settings.http_port)
        try:
            await site.start()
        except OSError as fault:
            if fault.errno == errno.EADDRINUSE:
                raise Refused(
                    f"port {settings.http_port} on {settings.http_host} is taken by another "
                    "program; set HTTP_PORT"
                ) from fault
            raise Refused(f"{settings.http_host} cannot be listened on: {fault}") from fault
        host, port = runner.addresses[0][:2]
        url = f"http://{host}:{port}"
        say(f"Serving {url}/api/v1/status and {url}/metrics")
        yield url
    finally:
        await runner.cleanup()

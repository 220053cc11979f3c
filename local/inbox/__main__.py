"""`python -m local.inbox`: the SMTP server and its page, until SIGTERM or Ctrl-C."""

import argparse
import asyncio
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from local.inbox.pages import application
from local.inbox.receiving import Inbox, listen
from local.inbox.returning import Returns
from local.inbox.store import Store


async def serve(host: str, smtp_port: int, web_port: int, data: Path, returns: Returns | None = None) -> None:
    """Serve until told to stop."""
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    store = Store(data)
    inbox = Inbox(store, returns)
    committing = asyncio.create_task(inbox.commit_forever())
    runner = web.AppRunner(application(inbox), access_log=None, shutdown_timeout=2.0)
    await runner.setup()
    await web.TCPSite(runner, host, web_port).start()
    smtp = await listen(inbox, host, smtp_port)
    logging.getLogger("local.inbox").info("takes letters on port %d, shows them on port %d", smtp_port, web_port)
    await asyncio.wait([asyncio.create_task(stop.wait()), committing], return_when=asyncio.FIRST_COMPLETED)
    smtp.close()
    await runner.cleanup()
    committing.cancel()
    await asyncio.wait([committing])
    store.close()
    if not committing.cancelled():
        committing.result()


def main() -> int:
    """Read the arguments and serve; return the exit status."""
    parser = argparse.ArgumentParser(prog="inbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="the address that is listened on")
    parser.add_argument("--smtp-port", type=int, default=2525)
    parser.add_argument("--web-port", type=int, default=8025)
    parser.add_argument("--data", type=Path, required=True, help="the folder that keeps the letters")
    parser.add_argument("--bounces", metavar="HOST:PORT", default="", help="the server that what comes back is sent to")
    chosen = parser.parse_args()
    where, _colon, port = chosen.bounces.rpartition(":")
    if chosen.bounces and not (where and port.isdecimal()):
        parser.error("--bounces: host:port is wanted")
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("mail.log").setLevel(logging.WARNING)
    try:
        returns = Returns(where, int(port)) if chosen.bounces else None
        asyncio.run(serve(chosen.host, chosen.smtp_port, chosen.web_port, chosen.data, returns))
    except OSError as error:
        sys.stderr.write(f"The inbox cannot start: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""`penchant collect`: open a collection, serve its page. Imports neither torch nor FastAPI, so that help is instant."""

from __future__ import annotations

import argparse
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from penchant.cli.arguments import Arguments, Command, retired_flags
from penchant.cli.outputs import add_overwrite_flag, check_file
from penchant.errors import InputError
from penchant.web.settings import Collect

if TYPE_CHECKING:
    from penchant.web.signing_keys import Keys


def _add_flags(parser: argparse.ArgumentParser) -> None:
    add_overwrite_flag(parser)
    parser.add_argument("--export", metavar="FILE.jsonl", help="serve nothing, write what was collected so far")


def _collect(arguments: Arguments) -> int:
    from penchant.web import require_web

    require_web()
    config = arguments.load(Collect)
    if not arguments.flags.export:
        return serve(config)
    check_file(arguments.flags.export, arguments.flags, name="--export")
    return _export(config, Path(arguments.flags.export))


def serve(config: Collect) -> int:
    """Open the collection, say the links, and serve the page until Ctrl-C."""
    import uvicorn

    from penchant.web.app import create_app
    from penchant.web.connections import bounded_protocol
    from penchant.web.database import Database
    from penchant.web.fill import open_collection
    from penchant.web.signing_keys import load_keys

    with _removed_if_refused(config):
        database = Database(config.out)
        try:
            keys = load_keys(key_file(config))
            opened = open_collection(database, config, keys.fingerprint)
        except BaseException:
            database.close()  # before its files are removed
            raise
    config = opened.config
    # the listener before the links are printed: `port=0` is known only afterwards
    with closing(database), closing(_listener(config)) as listener:
        port = listener.getsockname()[1]
        app = create_app(config, database, keys)
        print("\n".join(startup_lines(config, keys, port, database.name, opened.went_on, opened.changes)), flush=True)
        server = uvicorn.Server(
            uvicorn.Config(
                app,
                log_level="warning",
                access_log=False,  # addresses hold secret links
                server_header=False,
                proxy_headers=False,  # whoever reaches the port could claim any address in them
                limit_concurrency=500,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=3,  # a browser keeps its connection open, and Ctrl-C must not wait for it
                http=bounded_protocol(),
                lifespan="off",
            )
        )
        try:
            server.run(sockets=[listener])
        except KeyboardInterrupt:
            print("stopped; the same command goes on where it was")
    return 0


@contextmanager
def _removed_if_refused(config: Collect) -> Iterator[None]:
    """Leave nothing behind where a new collection is refused: neither an empty database nor a key without one.

    What another process filled meanwhile stays, whose collection it is.
    """
    possible_files = [key_file(config)]
    if not config.is_postgres:
        possible_files += [Path(f"{config.out}{part}") for part in ("", "-wal", "-shm", "-journal")]
    new = [path for path in possible_files if not os.path.lexists(path)]
    try:
        yield
    except BaseException:
        # a database that another process filled between the look and here is that process's
        if config.is_postgres or not _is_filled(Path(config.out)):
            for path in new:
                with suppress(OSError):
                    path.unlink(missing_ok=True)
        raise


def _is_filled(path: Path) -> bool:
    """Return whether a database holds a collection; also where nobody can tell, since another process writes it."""
    import sqlite3

    if not path.is_file():
        return False
    try:
        with closing(sqlite3.connect(path, timeout=1)) as connection:
            return connection.execute("SELECT count(*) FROM collection").fetchone()[0] > 0
    except sqlite3.OperationalError as error:
        return "no such table" not in str(error)
    except sqlite3.DatabaseError:  # no database at all
        return False


def key_file(config: Collect) -> Path:
    """Return where the secret lies that links come from."""
    if config.key is not None:
        return Path(config.key)
    # a database at an address lies in no folder beside which the key could
    return Path("penchant.key") if config.is_postgres else Path(f"{config.out}.key")


def startup_lines(
    config: Collect, keys: Keys, port: int, name: str, goes_on: bool, changes: Sequence[str] = ()
) -> list[str]:
    """Return settings that changed, the links, and a warning where other machines reach the page."""
    from penchant.web.security import bracketed
    from penchant.web.signing_keys import ADMIN

    address = (config.url or f"http://{bracketed(config.host)}:{port}").rstrip("/")
    people = f"{config.overlap} of {config.annotators} people judge each item"
    lines = [f"going on with {name} ({config.title!r}, {people})" if goes_on else f"collecting into {name}"]
    lines += [f"  changed: {change}" for change in changes]
    # said aloud, since nothing but the secret links keeps strangers out
    if not config.is_local:
        lines.append(
            f"WARNING: listening on {config.host}, so other machines reach this page. Whoever has a link can judge"
            + ("." if address.startswith("https://") else ", and links travel unencrypted: put HTTPS before it.")
        )
    lines.append(f"admin: {address}/admin/in/{keys.link(ADMIN)}")
    for number, annotator_name in enumerate(config.annotator_names, start=1):
        lines.append(f"{annotator_name}: {address}/a/{number}/{keys.link(str(number))}")
    return [*lines, "Links are secret: each person gets their own. Ctrl-C stops."]


def _listener(config: Collect) -> socket.socket:
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    # the same command right after Ctrl-C finds the port free
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        # links have an IPv6 address in brackets, and sockets want it without
        listener.bind((config.host.strip("[]"), config.port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise InputError(
            f"cannot listen on {config.host}, port {config.port} ({error}); choose another with host=... or port=..."
        ) from None
    return listener


def _export(config: Collect, path: Path) -> int:
    from penchant.data.write import check_name, write_lines
    from penchant.web.database import Database
    from penchant.web.export import as_jsonl
    from penchant.web.tables import Collection

    check_name(path)
    # opening would make an empty one
    if not config.is_postgres and not Path(config.out).is_file():
        raise InputError(f"{config.out}: no such database; name the collection with out=...")
    with closing(Database(config.out)) as database, database.reading() as session:
        if session.get(Collection, 1) is None:
            raise InputError(f"{database.name} holds no collection yet")
        lines = list(as_jsonl(session))
    # for its owner alone, since it says who judged what
    write_lines(lines, path, private=True)
    print(f"{len(lines)} prompts with judgments written to {path}")
    return 0


COLLECT = Command(
    "collect",
    Collect,
    _collect,
    positionals={"data": "FILE"},
    example="samples.jsonl annotators=3 overlap=2 out=people.sqlite",
    add_flags=_add_flags,
    retired=retired_flags("annotators", "overlap", "host", "port"),
)

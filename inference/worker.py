"""One worker process: it loads the model, tries it, and then serves until it is told to drain."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import uvloop

from families.artifact import ArtifactError
from families.family import FamilyError
from inference import hooks
from inference.app import App, Hooks
from inference.board import Board, Slot
from inference.http import Connection, Room
from inference.journal import Journal
from inference.model import ModelError, load
from inference.settings import Settings
from inference.shelf import Register, Shelf

BACKLOG = 2048
GATHER_SECONDS = 0.1  # how long log lines wait for others
TAKE_IN_SECONDS = 0.1  # when draining: how long connections already made are still taken in
CANNOT_START = 3


def run(settings: Settings, board: Board, number: int, *, listener: socket.socket, lifeline: int, folder: Path) -> int:
    """Serve as worker `number`; `lifeline` ends when the supervisor does."""
    try:
        shelf = Shelf(Register(folder / "models.json", board), settings.max_models) if settings.multi_model else None
        model = None if shelf else load(settings.model, os.environ.get("SAGEMAKER_MODEL_NAME", "model"))
        steps = Hooks(hooks.load(settings.before), hooks.load(settings.after))
    except (ArtifactError, FamilyError, ModelError, hooks.HookError, OSError) as problem:
        Journal().say("cannot_start", worker=number, reason=str(problem))
        return CANNOT_START
    loop = uvloop.new_event_loop()
    journal = Journal(later=lambda flush: loop.call_later(GATHER_SECONDS, flush))
    slot = Slot(board, number)
    app = App(settings, board, slot, journal, model=model, shelf=shelf, hooks=steps)
    # As many as there are workers: the kernel may hand two large requests to one worker, and rows are read and
    # predicted without the interpreter's lock.
    threads = ThreadPoolExecutor(max_workers=settings.workers, thread_name_prefix="rows")
    gc.freeze()  # what is loaded by now stays: the collector need not walk through it again and again
    room = Room(app, loop, threads, settings.read_seconds, settings.idle_seconds)
    try:
        loop.run_until_complete(_serve(room, slot, settings, listener, lifeline))
    finally:
        journal.flush()
    return 0


async def _serve(room: Room, slot: Slot, settings: Settings, listener: socket.socket, lifeline: int) -> None:
    loop, told = room.loop, asyncio.Event()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, told.set)
    loop.add_reader(lifeline, told.set)
    server = await loop.create_server(lambda: cast(asyncio.Protocol, Connection(room)), sock=listener, backlog=BACKLOG)
    slot.ready()
    beating = loop.create_task(_beat(room, slot, min(1.0, settings.read_seconds / 4, settings.idle_seconds / 4)))
    await told.wait()
    loop.remove_reader(lifeline)
    await _drain(room, server, settings)
    beating.cancel()


async def _beat(room: Room, slot: Slot, every: float) -> None:
    while True:
        slot.beat()
        room.sweep()
        await asyncio.sleep(every)


async def _drain(room: Room, server: asyncio.Server, settings: Settings) -> None:
    """Take in what the kernel has accepted already, answer everything, and leave when all is quiet.

    A connection is closed after its next answer, or when it says nothing for `quiet_seconds`.
    """
    deadline = room.loop.time() + settings.drain_seconds
    room.closing = True
    await asyncio.sleep(TAKE_IN_SECONDS)
    server.close()
    while room.connections and room.loop.time() < deadline:
        room.sweep(settings.quiet_seconds)
        await asyncio.sleep(0.02)

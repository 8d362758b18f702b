"""How much disk the tables will take, and how much there is where PostgreSQL keeps its data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import psycopg

#: Bytes of a saga with its steps and history, in tables and indexes: measured, see benchmarks/README.md.
PER_SAGA = 12_000
#: An empty database, and what is written for a while beside the tables: sorts for indexes, log.
APART = 1 << 30
_LOCAL = ("", "localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Disk:
    """What is needed and what is there, in bytes; None = it can not be known from here."""

    needed: int
    free: int | None
    place: str

    @property
    def refusal(self) -> str:
        """Why it will not be tried; empty when it fits."""
        if self.free is None:
            return f"cannot know how much disk is free at {self.place}: look, and say --yes"
        return f"only {gigabytes(self.free)} are free in {self.place}" if self.free < self.needed else ""

    def __str__(self) -> str:
        free = "" if self.free is None else f", {gigabytes(self.free)} are free in {self.place}"
        return f"needs about {gigabytes(self.needed)} of disk{free}"


def disk(server_url: str, sagas: int) -> Disk:
    """For so many sagas on that server. Raises `psycopg.Error`."""
    needed = APART + PER_SAGA * sagas
    with psycopg.connect(server_url, autocommit=True) as server:
        host = server.info.host
        if not (host in _LOCAL or host.startswith("/")):
            return Disk(needed, None, host)
        try:
            row = server.execute("SHOW data_directory").fetchone()
        except psycopg.errors.InsufficientPrivilege:
            return Disk(needed, None, host)
    place = str(row[0]) if row else ""
    return Disk(needed, free_at(place), place or host)


def free_at(place: str) -> int | None:
    """Bytes free where the directory is; None when it is not on this machine."""
    try:
        found = os.statvfs(place)
    except PermissionError:
        return free_at(str(Path(place).parent))
    except OSError:
        return None
    return found.f_bavail * found.f_frsize


def gigabytes(size: int) -> str:
    """ "11.2 GB"."""
    return f"{size / 1e9:.1f} GB"

"""Snapshots as JSON files: the last one and a few before it."""

from pathlib import Path

from domain.errors import Refused, StateCorrupt
from domain.snapshot import Snapshot
from state.filesystem import FileSystem
from state.snapshot_codec import REPAIR, Encoder, decode

GENERATIONS = 5
CURRENT = "portfolio.json"
_TEMPORARY = "portfolio.json.tmp"


class JsonStateStore:
    """A StateStore of files: `portfolio.json`, before it `portfolio.1.json`, and so on.

    Whatever fails at whatever moment, `portfolio.json` is the whole of the old or the whole of the
    new snapshot. An older generation is only read when asked for by its age.
    """

    def __init__(self, fs: FileSystem, directory: Path, generations: int = GENERATIONS) -> None:
        if generations < 1:
            raise ValueError(f"at least one generation is kept, not {generations}")
        self._fs = fs
        self._directory = directory
        self._generations = generations
        self._encoder = Encoder()

    def load(self) -> Snapshot | None:
        """Return the last saved snapshot, None before the first ever. Raises StateCorrupt."""
        if CURRENT not in self._names():
            ages = self.ages()
            if ages:
                raise StateCorrupt(
                    f"{self._directory / CURRENT}: missing, though {self._path(ages[0])} is "
                    f"there; nothing was changed: {REPAIR}"
                )
            return None
        return self.load_generation(0)

    def load_generation(self, age: int) -> Snapshot:
        """Return the snapshot saved `age` saves before the last. Raises StateCorrupt."""
        path = self._path(age)
        try:
            document = self._fs.read(path)
        except OSError as fault:
            raise StateCorrupt(f"{path}: cannot be read ({fault}): {REPAIR}") from fault
        return decode(document, source=str(path))

    def ages(self) -> list[int]:
        """Return which generations are there, the newest (0) first."""
        names = self._names()
        return [age for age in range(self._generations) if self._path(age).name in names]

    def oldest_journal_seq(self) -> int:
        """Return up to which record the journal is needed by no generation kept.

        0, so that nothing is thrown away, when there is no generation or one cannot be read.
        """
        try:
            kept = [self.load_generation(age).journal_seq for age in self.ages()]
        except Refused:
            return 0
        return min(kept, default=0)

    def save(self, snapshot: Snapshot) -> None:
        """Replace the saved snapshot; durable when this returns. Raises OSError, nothing lost."""
        document = self._encoder.encode(snapshot)
        self._fs.make_directory(self._directory)
        temporary = self._directory / _TEMPORARY
        file = self._fs.create(temporary)
        try:
            file.write(document)
            file.sync()
        finally:
            file.close()
        self._shift()
        self._fs.rename(temporary, self._path(0))
        self._fs.sync_directory(self._directory)

    def _shift(self) -> None:
        """Make every generation one older; the newest keeps its name until it is replaced."""
        names = self._names()
        for age in range(self._generations - 2, 0, -1):
            if self._path(age).name in names:
                self._fs.rename(self._path(age), self._path(age + 1))
        if self._generations > 1 and CURRENT in names:
            # Still there with two generations, or after crashes between link and rename.
            if self._path(1).name in self._names():
                self._fs.remove(self._path(1))
            # A second name, not a rename: at no instant is there no current snapshot.
            self._fs.link(self._path(0), self._path(1))

    def _path(self, age: int) -> Path:
        return self._directory / (CURRENT if age == 0 else f"portfolio.{age}.json")

    def _names(self) -> list[str]:
        try:
            return self._fs.names(self._directory)
        except OSError as fault:
            raise Refused(f"{self._directory}: cannot be read ({fault})") from fault

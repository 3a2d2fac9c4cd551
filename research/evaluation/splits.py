"""Which sessions are learned from and which are judged on, never the same, never touching.

Purge: sessions left out of the training span before a test span. Embargo: those left out after it,
whose bars, and so whose indicators, begin inside it. Splits are skfolio's; sources: M. López de
Prado, Advances in Financial Machine Learning, 2018, chapters 7 and 12.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from domain.errors import ConfigurationFault
from domain.market import Floats

Rows = NDArray[np.int64]
FOLDS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """One training span and the later span it is judged on, as session indices."""

    train: range
    test: range

    def __post_init__(self) -> None:
        if not len(self.train) or not len(self.test):
            raise ConfigurationFault("a fold needs sessions to train on and sessions to test on")
        if self.train.stop > self.test.start:
            raise ConfigurationFault(
                f"the training span (sessions {self.train.start} to {self.train.stop - 1}) "
                f"overlaps or follows its test span ({self.test.start} to {self.test.stop - 1}): "
                "what is learned there is no evidence here"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkForward:
    """Rolling spans, in sessions: train, leave `purge` out, test, step on by the test's length."""

    train: int = 756
    test: int = 252
    purge: int = 5

    def __post_init__(self) -> None:
        if self.train < 1 or self.test < 1 or self.purge < 0:
            raise ConfigurationFault(
                f"training and test spans have at least one session and a purge is not negative; "
                f"got {self.train}, {self.test}, {self.purge}"
            )

    def folds(self, sessions: range) -> list[Fold]:
        """Return the folds of sessions. Raises ConfigurationFault when not even one fits."""
        needed = self.train + self.purge + 1
        if len(sessions) < needed:
            raise ConfigurationFault(
                f"{len(sessions)} sessions hold no fold: training on {self.train}, leaving out "
                f"{self.purge} and testing takes more than {needed - 1}"
            )
        # Takes seconds to import: workers, who are given their folds, do without it.
        from skfolio.model_selection import WalkForward as Splitter

        splitter = Splitter(
            test_size=min(self.test, len(sessions) - self.train - self.purge),
            train_size=self.train,
            purged_size=self.purge,
            reduce_test=True,
        )
        rows = np.arange(len(sessions)).reshape(-1, 1)
        return [
            Fold(train=_range(sessions, train), test=_range(sessions, test))
            for train, test in splitter.split(rows)
        ]


def _range(sessions: range, rows: Rows) -> range:
    return range(sessions.start + int(rows[0]), sessions.start + int(rows[-1]) + 1)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Split:
    """One combination of groups to test on: rows to train on, groups tested, and the path each
    tested group belongs to."""

    train: Rows
    groups: tuple[int, ...]
    paths: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Combinations:
    """Combinatorial purged cross-validation of `rows` sessions: `groups` are ranges of rows."""

    groups: tuple[range, ...]
    splits: tuple[Split, ...]
    paths: int

    def path(self, number: int, tested: Sequence[Mapping[int, Floats]]) -> Floats:
        """Return one path: for every group, in order, what the split that owns it made of it.

        `tested[s][g]` are the returns of split s on group g.
        """
        pieces: dict[int, Floats] = {}
        for split, returns in zip(self.splits, tested, strict=True):
            for group, path in zip(split.groups, split.paths, strict=True):
                if path == number:
                    pieces[group] = returns[group]
        return np.concatenate([pieces[group] for group in range(len(self.groups))])


def combinations(
    rows: int, *, groups: int = 6, tested: int = 2, purge: int = 5, embargo: int = 21
) -> Combinations:
    """Return the splits: of 6 groups 2 tested, 15 splits make 5 paths.

    Raises ConfigurationFault when groups are too few or too short for purge and embargo.
    """
    if not 2 <= tested < groups:
        raise ConfigurationFault(
            f"of {groups} groups, from 2 to {groups - 1} can be tested at once"
        )
    if rows // groups - 1 <= purge + embargo:
        raise ConfigurationFault(
            f"{rows} sessions in {groups} groups leave {rows // groups} each, no more than purge "
            f"and embargo take ({purge} + {embargo})"
        )
    from skfolio.model_selection import CombinatorialPurgedCV

    splitter = CombinatorialPurgedCV(
        n_folds=groups, n_test_folds=tested, purged_size=purge, embargo_size=embargo
    )
    spans: dict[int, range] = {}
    splits = []
    rows_of_splits = splitter.split(np.zeros((rows, 1)))
    for mine, owners, (train, tests) in zip(
        splitter.test_set_index, splitter.get_path_ids(), rows_of_splits, strict=True
    ):
        for group, test in zip(mine, tests, strict=True):
            spans[int(group)] = range(int(test[0]), int(test[-1]) + 1)
        splits.append(
            Split(
                train=np.asarray(train, dtype=np.int64),
                groups=tuple(int(g) for g in mine),
                paths=tuple(int(p) for p in owners),
            )
        )
    return Combinations(
        groups=tuple(spans[g] for g in range(groups)),
        splits=tuple(splits),
        paths=int(splitter.n_test_paths),
    )

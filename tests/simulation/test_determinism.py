"""The same seed gives the same run, bit for bit, in any process and with any hash seed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PLAY = """
import sys
from research.simulation.world import Wish, World
for seed in map(int, sys.argv[1:]):
    outcome = World(Wish(seed=seed, days=1, wide=False, speed=480.0, symbols=6)).run()
    print(seed, outcome.trace, outcome.steps, sorted(outcome.counts.items()))
"""
SEEDS = ("11", "12", "13", "14", "15")


def _played(hash_seed: str, seeds: tuple[str, ...]) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PLAY, *seeds],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    return sorted(done.stdout.splitlines())


@pytest.mark.timeout(300)
def test_three_processes_with_three_hash_seeds_agree_whatever_was_played_before() -> None:
    first = _played("0", SEEDS)
    assert len(first) == len(SEEDS)
    assert _played("1", SEEDS[::-1]) == first
    assert _played("12345", SEEDS[2:] + SEEDS[:2]) == first

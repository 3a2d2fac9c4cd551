"""A search on a Ray cluster of two workers finds what one process does, to the last bit."""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from domain.errors import ConfigurationFault
from research.pool import RayCluster
from tests.support.bar_files import daily_bars_file
from tests.support.processes import free_port

ROOT = Path(__file__).parents[2]
RUN_S, STOP_S = 300.0, 30.0
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("ray") is None, reason="the extra `ray` is not installed"
)


def environment(folder: Path) -> dict[str, str]:
    """Everything Ray writes goes into the folder; it asks nobody and listens on loopback."""
    return {
        **os.environ,
        "HOME": str(folder),
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore",
        "RAY_AUTH_MODE": "disabled",
        "RAY_TMPDIR": str(folder),
        "RAY_USAGE_STATS_ENABLED": "0",
        "STATE_DIR": str(folder / "var"),
    }


@pytest.fixture
def folder() -> Iterator[Path]:
    # Ray's sockets lie in it, and a socket's path may have 107 bytes at most.
    path = Path(tempfile.mkdtemp(prefix="tw-ray-", dir="/tmp"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def cluster(folder: Path) -> Iterator[str]:
    """A head node with two workers, stopped with everything it started."""
    port = free_port()
    ray = Path(sys.executable).with_name("ray")
    command = [
        str(ray), "start", "--head", "--block", "--num-cpus=2", f"--port={port}",
        "--node-ip-address=127.0.0.1", "--include-dashboard=false", "--disable-usage-stats",
        f"--temp-dir={folder}", "--object-store-memory=100000000",
    ]  # fmt: skip
    log = (folder / "head.log").open("wb")
    head = subprocess.Popen(
        command, env=environment(folder), stdout=log, stderr=log, start_new_session=True
    )
    try:
        yield f"127.0.0.1:{port}"
    finally:
        head.send_signal(signal.SIGTERM)
        try:
            head.wait(STOP_S)
        except subprocess.TimeoutExpired:
            os.killpg(head.pid, signal.SIGKILL)
            head.wait()
        log.close()


def walk_forward(folder: Path, data: Path, out: str, *where: str) -> dict[str, Any]:
    command = [
        sys.executable, "-m", "daemon.cli", "walk-forward", "--data", str(data),
        "--strategies", "sma_crossover(fast_bars=3|5,slow_bars=8)", "--train", "60",
        "--test", "40", "--cross-validate", "off", "--out", str(folder / out), "--json", *where,
    ]  # fmt: skip
    done = subprocess.run(
        command,
        env=environment(folder),
        cwd=folder,
        capture_output=True,
        timeout=RUN_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_cluster_finds_what_one_process_does(folder: Path, cluster: str) -> None:
    data = daily_bars_file(folder)
    alone = walk_forward(folder, data, "alone", "--workers", "1")
    shared = walk_forward(folder, data, "shared", "--ray", cluster)

    for name in ("verdicts", "baselines", "folds", "paths", "trials"):
        assert shared[name] == alone[name]
    returns = [(folder / out / "returns.parquet").read_bytes() for out in ("alone", "shared")]
    assert returns[0] == returns[1]


def test_without_ray_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)

    with pytest.raises(ConfigurationFault, match=r"tradewind\[ray\]"):
        next(RayCluster("127.0.0.1:1").run(str, [1], lambda: False))

"""Reading the settings: `.env`, the environment, systemd's credentials, the command line.

Everything that is wrong is said at once, and nothing else in the program reads any of these.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import SecretStr, ValidationError

from daemon.settings import Settings
from daemon.settings_conflicts import LIVE_HOSTS, Disagreement
from domain.errors import ConfigurationFault

KEYS: Mapping[str, str] = {n.upper(): n for n in Settings.model_fields if n != "warnings"}
"""Key → field, in the order of the schema."""
ALIASES: Mapping[str, str] = {
    "APCA_API_KEY_ID": "ALPACA_API_KEY",
    "APCA_API_SECRET_KEY": "ALPACA_SECRET_KEY",
}
SECRET_KEYS = frozenset(
    key for key, n in KEYS.items() if Settings.model_fields[n].annotation == (SecretStr | None)
)
FOREIGN_URL_KEYS = frozenset(
    {"APCA_API_BASE_URL", "ALPACA_BASE_URL", "ALPACA_API_BASE_URL", "ALPACA_URL"}
)
"""Other programs choose Alpaca's API by these; one that says `live` must not go unnoticed."""
NEAR_IN_FILE = 0.8
NEAR_IN_ENVIRONMENT = 0.9
"""How alike a foreign name may be. The environment is full of names that are no business of ours;
a file made for us is not."""
LINE = re.compile(r"\s*(?:export\s+)?(?P<key>[A-Za-z_][A-Za-z0-9_]*)\s*=\s*(?P<rest>.*)")
QUOTED = re.compile(r"(?P<quote>['\"])(?P<text>.*)(?P=quote)\s*(#.*)?")
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


@dataclass(slots=True)
class _Reading:
    """What has been read so far; later sources win."""

    values: dict[str, object] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    def take(self, key: str, value: object, origin: str) -> None:
        """Note a value under its own name; an empty one says nothing."""
        if isinstance(value, str) and not value.strip():
            return
        name = KEYS[ALIASES.get(key, key)]
        self.values[name] = value
        self.origins[name] = origin


def load_settings(
    env_file: Path | None,
    environ: Mapping[str, str],
    overrides: Mapping[str, object] | None = None,
    *,
    fallbacks: Mapping[str, object] | None = None,
) -> Settings:
    """Return the settings of `fallbacks` < `env_file` < `environ` < systemd credentials <
    `overrides`, each keyed by our names; an empty text counts as not given.

    `$CREDENTIALS_DIRECTORY/alpaca_api_key` and so on hold secrets. What is odd but usable is in
    `Settings.warnings`. Raises ConfigurationFault naming every fault, secrets not shown.
    """
    reading = _Reading()
    _read_given(reading, fallbacks or {}, "default of this command")
    if env_file is not None:
        _read_file(reading, env_file)
    _read_environment(reading, environ)
    if environ.get("CREDENTIALS_DIRECTORY"):
        _read_credentials(reading, Path(environ["CREDENTIALS_DIRECTORY"]))
    _read_given(reading, overrides or {}, "command line")
    settings = _validated(reading)
    if settings is None or reading.faults:
        raise ConfigurationFault(_report(reading.faults))
    warnings = (*reading.warnings, *_oddities(settings))
    return settings.model_copy(update={"warnings": warnings})


def default_env_file(folder: Path) -> Path | None:
    """Return `.env` in the folder if there is one."""
    path = folder / ".env"
    return path if path.is_file() else None


def demo_overrides() -> dict[str, object]:
    """Return what `make run` changes to show something soon: to be given as `fallbacks`, so that
    the operator's own choice still wins, and to be shown as `DEMO_LABEL`."""
    return {"BAR_TIMEFRAME": "5Min", "DAILY_TURNOVER_MAX": "100%"}


DEMO_LABEL = "demo pace"


def _report(faults: Iterable[str]) -> str:
    lines = list(faults)
    count = "1 setting" if len(lines) == 1 else f"{len(lines)} settings"
    return "\n".join([f"{count} cannot be used; nothing was started:", *(f"  {x}" for x in lines)])


def _read_given(reading: _Reading, given: Mapping[str, object], origin: str) -> None:
    for key, value in given.items():
        if key in KEYS:
            reading.take(key, value, origin)
        else:
            reading.faults.append(f"{key} ({origin}): no such setting{_suggestion(key, 0.6)}")


def _read_file(reading: _Reading, path: Path) -> None:
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except (OSError, UnicodeDecodeError) as fault:
        reading.faults.append(f"{path}: cannot be read: {fault}")
        return
    seen: dict[str, int] = {}
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        where = f"{path} line {line_number}"
        parsed = _parse_line(line)
        if parsed is None:
            # The line is not shown: it may hold a key.
            reading.faults.append(f"{where}: not understood; write NAME=value")
            continue
        key, value = parsed
        own = ALIASES.get(key, key)
        if own in seen:
            reading.faults.append(f"{where}: {own} was given on line {seen[own]} already")
            continue
        seen[own] = line_number
        _take_from_file(reading, key, value, where)
    if mode & 0o077 and SECRET_KEYS & seen.keys() & {n.upper() for n in reading.values}:
        reading.warnings.append(f"{path} holds secrets others can read: run chmod 600 {path}")


def _parse_line(line: str) -> tuple[str, str] | None:
    match = LINE.fullmatch(line)
    if not match:
        return None
    rest = match["rest"].strip()
    quoted = QUOTED.fullmatch(rest)
    if quoted:
        return match["key"], quoted["text"]
    if rest[:1] in {"'", '"'}:
        return None
    # As in a shell, a # starts a note only after a blank.
    return match["key"], re.split(r"(?:^|\s)#", rest, maxsplit=1)[0].strip()


def _take_from_file(reading: _Reading, key: str, value: str, where: str) -> None:
    if key in KEYS or key in ALIASES:
        reading.take(key, value, where)
    elif key in FOREIGN_URL_KEYS:
        _check_url(reading, key, value, where)
        reading.warnings.append(f"{where}: {key} is ignored; VENUE chooses where we trade")
    elif suggestion := _suggestion(key, NEAR_IN_FILE):
        reading.faults.append(f"{where}: {key} is no setting{suggestion}")
    else:
        reading.warnings.append(f"{where}: {key} is not ours and is ignored")


def _read_environment(reading: _Reading, environ: Mapping[str, str]) -> None:
    where = "environment"
    # An alias and the name itself may both be set: the name is then the one that counts.
    for alias in ALIASES:
        if alias in environ:
            reading.take(alias, environ[alias], where)
    for key in sorted(environ):
        if key in KEYS:
            reading.take(key, environ[key], where)
        elif key in FOREIGN_URL_KEYS:
            _check_url(reading, key, environ[key], where)
        elif "_" in key and key not in ALIASES and (s := _suggestion(key, NEAR_IN_ENVIRONMENT)):
            reading.faults.append(f"{key} ({where}) is no setting{s}")


def _read_credentials(reading: _Reading, folder: Path) -> None:
    for key in sorted(SECRET_KEYS):
        path = folder / key.lower()
        if not path.exists():
            continue
        try:
            reading.take(key, path.read_text(encoding="utf-8").strip(), "systemd credentials")
        except (OSError, UnicodeDecodeError) as fault:
            reading.faults.append(f"{key}: {path} cannot be read: {fault}")


def _check_url(reading: _Reading, key: str, value: str, where: str) -> None:
    if urlsplit(value.strip()).hostname in LIVE_HOSTS:
        reading.faults.append(
            f"{key} ({where}) is the live API: Tradewind trades paper only; remove it"
        )


def _suggestion(key: str, likeness: float) -> str:
    near = get_close_matches(key.upper(), [*KEYS, *ALIASES], n=1, cutoff=likeness)
    return f": did you mean {near[0]}?" if near else ""


def _validated(reading: _Reading) -> Settings | None:
    """Return the settings, or note every fault. Fields that cannot be read are left out on the
    second try, so that what does not go together is found in the same run."""
    try:
        return Settings.model_validate(reading.values)
    except ValidationError as fault:
        bad = _note(reading, fault, already=frozenset())
    if bad:
        rest = {name: value for name, value in reading.values.items() if name not in bad}
        try:
            Settings.model_validate(rest)
        except ValidationError as fault:
            _note(reading, fault, already=bad)
    return None


def _note(reading: _Reading, fault: ValidationError, *, already: frozenset[str]) -> frozenset[str]:
    bad: set[str] = set()
    for error in fault.errors(include_url=False):
        cause = error.get("ctx", {}).get("error")
        if isinstance(cause, Disagreement):
            reading.faults += [
                c.message for c in cause.conflicts if not already & {KEYS[key] for key in c.keys}
            ]
            continue
        name = str(error["loc"][0])
        bad.add(name)
        key = name.upper()
        shown = "***" if key in SECRET_KEYS else reading.values[name]
        reading.faults.append(f"{key}={shown} ({reading.origins[name]}): {cause or error['msg']}")
    return frozenset(bad)


def _oddities(settings: Settings) -> list[str]:
    found = []
    key = settings.alpaca_api_key
    if key and not key.get_secret_value().startswith("PK"):
        found.append("ALPACA_API_KEY does not look like a paper key (they start with PK)")
    if settings.http_host not in LOOPBACK:
        found.append(
            f"HTTP_HOST={settings.http_host}: other machines can reach the API; "
            "keep it on 127.0.0.1 and use a tunnel"
        )
    filters = ("universe_sectors", "universe_tiers", "universe_count_max")
    ignored = [n.upper() for n in filters if getattr(settings, n)]
    if settings.trading_symbols and ignored:
        found.append(f"TRADING_SYMBOLS is given, so {', '.join(ignored)} choose nothing")
    return found

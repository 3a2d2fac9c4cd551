"""Finds strategy files and makes strategies of them. Nothing to register: a file is enough.

A strategy file holds one frozen dataclass with `decide(market)`; its fields are its parameters, its
file name is its name. Files whose names start with `_` are not looked at, and files without any
class in them are taken for shared code. What is wrong with a file is a value, listed beside the
strategies that loaded; it never stops the others.
"""

import dataclasses
import hashlib
import importlib
import importlib.util
import inspect
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar, cast

import strategies
from daemon.strategy_specs import (
    NAME,
    RESERVED,
    StrategySpec,
    Value,
    check_names,
    parse_specs,
    spec_of,
)
from daemon.time_limit import OutOfTime, at_most
from domain.calendar import Timeframe
from domain.errors import ConfigurationFault
from domain.market import Reads
from domain.ports import Strategy
from domain.signals import StrategyName

__all__ = [
    "SHIPPED_FOLDER",
    "Discovery",
    "EnlistedStrategy",
    "LoadError",
    "Raised",
    "StrategyFile",
    "StrategySpec",
    "attempt",
    "discover",
    "enlist",
    "load_file",
    "make",
    "parse_specs",
    "spec_of",
]

SHIPPED_FOLDER = Path(strategies.__file__).parent
FILES_PER_FOLDER_MAX = 500
LOAD_S_MAX = 30.0
"""Real time for running one strategy file: heavy libraries take seconds, a loop takes for ever."""
Result = TypeVar("Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class StrategyFile:
    """A file that loaded: `kind` is its stem; `make` takes its parameters as keywords."""

    kind: str
    path: Path
    make: Callable[..., Strategy]
    parameters: Mapping[str, object]
    """Names and defaults of its parameters."""
    parameter_types: Mapping[str, object]
    summary: str
    """The first line of its docstring."""
    heavy: bool
    abstains: str
    """Why it never has an opinion; empty for those that do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadError:
    """A file that could not be used, and why, in one line."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """What was found in the strategy folders, by file stem, and what could not be loaded."""

    files: Mapping[str, StrategyFile] = field(default_factory=dict)
    errors: tuple[LoadError, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EnlistedStrategy:
    """A strategy ready to be asked. In shadow its opinions are recorded and never traded."""

    spec: StrategySpec
    strategy: Strategy
    heavy: bool
    abstains: str
    in_shadow: bool

    @property
    def name(self) -> StrategyName:
        """Its name, and its book's."""
        return self.spec.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Raised:
    """What foreign code raised, as a value."""

    kind: str
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else self.kind


def attempt(call: Callable[[], Result]) -> Result | Raised:
    """Return the result of foreign code, or what it raised (leaving by SystemExit included)."""
    try:
        return call()
    # The one border where a user's file runs at load and check: it may raise anything.
    except (Exception, SystemExit) as fault:  # noqa: BLE001
        return Raised(kind=type(fault).__name__, message=str(fault))


# --- finding -------------------------------------------------------------------------------------


def discover(folders: Sequence[Path], *, limit_s: float = LOAD_S_MAX) -> Discovery:
    """Return every strategy in the folders; folders that do not exist hold none.

    A file with the name of one in an earlier folder is an error, so that a user's file never
    silently takes the place of a shipped one. Runs the files, each for `limit_s` at most.
    """
    files: dict[str, StrategyFile] = {}
    errors: list[LoadError] = []
    for path in _strategy_paths(folders):
        if path.stem in files:
            reason = f"{path.stem} is already the name of {files[path.stem].path}; rename this file"
            errors.append(LoadError(path=path, reason=reason))
            continue
        loaded = _loaded(path, limit_s)
        if isinstance(loaded, StrategyFile):
            files[path.stem] = loaded
        elif loaded is not None:
            reason = str(loaded) if isinstance(loaded, Raised) else loaded.reason
            errors.append(LoadError(path=path, reason=" ".join(reason.split())))
    return Discovery(files=files, errors=tuple(errors))


def _loaded(path: Path, limit_s: float) -> StrategyFile | LoadError | Raised | None:
    try:
        with at_most(limit_s):
            return attempt(lambda: load_file(path))
    except OutOfTime:
        reason = f"it did not finish loading within {limit_s:g} s; nothing may run at its import"
        return LoadError(path=path, reason=reason)


def load_file(path: Path) -> StrategyFile | LoadError | None:
    """Return the strategy in a file, what is wrong with it, or None for shared code.

    Raises whatever the file raises when it is run.
    """
    if not NAME.fullmatch(path.stem):
        return LoadError(path=path, reason="name it in lower case: letters, digits and _")
    module = _import(path)
    classes = [
        member
        for member in vars(module).values()
        if inspect.isclass(member) and member.__module__ == module.__name__
    ]
    deciding = [member for member in classes if callable(getattr(member, "decide", None))]
    if len(deciding) == 1:
        return _described(path, deciding[0])
    if deciding:
        names = " and ".join(member.__name__ for member in deciding)
        return LoadError(path=path, reason=f"one strategy a file; this one has {names}")
    if classes or callable(getattr(module, "decide", None)):
        reason = "no strategy in it: write one frozen dataclass with decide(self, market)"
        return LoadError(path=path, reason=reason)
    return None


def _strategy_paths(folders: Sequence[Path]) -> Iterable[Path]:
    for folder in folders:
        paths = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
        if len(paths) > FILES_PER_FOLDER_MAX:
            raise ConfigurationFault(
                f"{folder} holds {len(paths)} strategy files; the most is {FILES_PER_FOLDER_MAX}"
            )
        yield from paths


def _import(path: Path) -> ModuleType:
    if path.resolve().parent == SHIPPED_FOLDER.resolve():
        return importlib.import_module(f"strategies.{path.stem}")
    # Named by its place, so that two folders may hold files of one name, and sys.path stays as is.
    place = hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    name = f"tradewind_user_strategy_{place}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up while they are made.
    sys.modules[name] = module
    complete = False
    try:
        spec.loader.exec_module(module)
        complete = True
    finally:
        if not complete:
            del sys.modules[name]
    return module


def _described(path: Path, cls: type[Any]) -> StrategyFile | LoadError:
    """Return the strategy a class is, its optional declarations filled in with their defaults."""
    if not dataclasses.is_dataclass(cls) or not cls.__dataclass_params__.frozen:  # type: ignore[attr-defined]
        reason = f"{cls.__name__} must be @dataclass(frozen=True, slots=True, kw_only=True)"
        return LoadError(path=path, reason=reason)
    parameters = {f.name: _default(f) for f in dataclasses.fields(cls) if f.init}
    fault = _declaration_fault(cls, parameters)
    if fault:
        return LoadError(path=path, reason=f"{cls.__name__} {fault}")
    defaults = {"reads": frozenset({Reads.BARS}), "cross_sectional": False, "heavy": False}
    for name, default in defaults.items():
        if not hasattr(cls, name):
            setattr(cls, name, default)
    make_it = cast(Callable[..., Strategy], cls)
    bars = make_it().lookback_bars
    if not isinstance(bars, int) or bars < 1:
        reason = f"{cls.__name__}.lookback_bars must be a whole number from 1 up, not {bars!r}"
        return LoadError(path=path, reason=reason)
    hints = typing.get_type_hints(cls)
    return StrategyFile(
        kind=path.stem,
        path=path,
        make=make_it,
        parameters=parameters,
        parameter_types={name: hints[name] for name in parameters},
        summary=(inspect.getdoc(cls) or "").partition("\n")[0],
        heavy=bool(getattr(cls, "heavy", False)),
        abstains=str(getattr(cls, "abstains", "")),
    )


def _default(of: "dataclasses.Field[object]") -> object:
    if of.default_factory is not dataclasses.MISSING:
        return of.default_factory()
    return of.default


def _declaration_fault(cls: type, parameters: Mapping[str, object]) -> str:
    without = [name for name, value in parameters.items() if value is dataclasses.MISSING]
    if without:
        return f"gives no default for {', '.join(without)}: every parameter needs one"
    taken = [name for name in RESERVED if name in parameters]
    if taken:
        return f"has a parameter called {taken[0]}, which every spec uses itself: rename it"
    if not isinstance(parameters.get("timeframe"), Timeframe):
        return "needs a parameter timeframe, such as timeframe: Timeframe = Timeframe.DAY"
    if not hasattr(cls, "lookback_bars"):
        return "does not say lookback_bars: how many bars it needs"
    return ""


# --- making --------------------------------------------------------------------------------------


def make(
    spec: StrategySpec, discovery: Discovery, *, bar_timeframe: Timeframe | None = None
) -> Strategy:
    """Return the strategy of a spec.

    `bar_timeframe` (BAR_TIMEFRAME) replaces the timeframe of strategies that are intraday by
    default and whose spec names none; those that are daily by default stay daily. Raises
    ConfigurationFault naming the near miss and what is accepted.
    """
    file = _file_of(spec.kind, discovery)
    given = {key: _typed(file, key, value) for key, value in spec.parameters.items()}
    default = file.parameters["timeframe"]
    if bar_timeframe is not None and isinstance(default, Timeframe) and default.is_intraday:
        given.setdefault("timeframe", bar_timeframe)
    made = attempt(lambda: file.make(**given))
    if isinstance(made, Raised):
        raise ConfigurationFault(f"{spec.name}: {made.message or made.kind}")
    return made


def enlist(
    specs: Sequence[StrategySpec], discovery: Discovery, *, bar_timeframe: Timeframe | None = None
) -> tuple[EnlistedStrategy, ...]:
    """Return the strategies of the specs, then every other discovered file in shadow.

    A file in shadow has default parameters, its own name, and weight 0. Raises ConfigurationFault
    with every fault of the specs at once.
    """
    check_names(specs)
    enlisted: list[EnlistedStrategy] = []
    faults: list[str] = []
    for spec in specs:
        try:
            strategy = make(spec, discovery, bar_timeframe=bar_timeframe)
        except ConfigurationFault as fault:
            faults.append(str(fault))
            continue
        enlisted.append(_enlisted(spec, strategy, discovery, in_shadow=False))
    if faults:
        raise ConfigurationFault("; ".join(faults))
    taken = {spec.kind for spec in specs} | {spec.name for spec in specs}
    for kind in sorted(set(discovery.files) - taken):
        spec = StrategySpec(name=kind, kind=kind, weight=0.0)
        strategy = _shadow(spec, discovery, bar_timeframe)
        enlisted.append(_enlisted(spec, strategy, discovery, in_shadow=True))
    return tuple(enlisted)


def _shadow(spec: StrategySpec, discovery: Discovery, bar_timeframe: Timeframe | None) -> Strategy:
    try:
        return make(spec, discovery, bar_timeframe=bar_timeframe)
    except ConfigurationFault:
        # It refuses that timeframe. Its own was accepted when the file was loaded.
        return make(spec, discovery)


def _enlisted(
    spec: StrategySpec, strategy: Strategy, discovery: Discovery, *, in_shadow: bool
) -> EnlistedStrategy:
    file = discovery.files[spec.kind]
    return EnlistedStrategy(
        spec=spec,
        strategy=strategy,
        heavy=file.heavy,
        abstains=file.abstains,
        in_shadow=in_shadow,
    )


def _file_of(kind: str, discovery: Discovery) -> StrategyFile:
    if kind in discovery.files:
        return discovery.files[kind]
    for error in discovery.errors:
        if error.path.stem == kind:
            raise ConfigurationFault(f"{kind}: {error.path} did not load: {error.reason}")
    known = ", ".join(sorted(discovery.files)) or "none found"
    raise ConfigurationFault(
        f"no strategy is called {kind}{_near(kind, discovery.files)}; there are: {known}"
    )


def _typed(file: StrategyFile, key: str, value: Value) -> object:
    if key not in file.parameters:
        accepted = ", ".join(f"{name}={default}" for name, default in file.parameters.items())
        raise ConfigurationFault(
            f"{file.kind} has no parameter {key}{_near(key, file.parameters)}; it takes: "
            f"{accepted}, name=…, weight=1"
        )
    wanted = file.parameter_types[key]
    if wanted is Timeframe:
        if value in tuple(Timeframe):
            return Timeframe(value)
        raise ConfigurationFault(f"{file.kind}: {key}={value}: write one of {', '.join(Timeframe)}")
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(wanted, type) and type(value) is not wanted:
        raise ConfigurationFault(f"{file.kind}: {key}={value} must be of type {wanted.__name__}")
    return value


def _near(word: str, known: Iterable[str]) -> str:
    close = get_close_matches(word.lower(), list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""

"""The table of commands says where each command is, so that only its file is imported."""

from importlib import import_module

import pytest
import typer
from typer.main import get_group

from daemon.cli import COMMANDS, application


@pytest.mark.parametrize("file", COMMANDS)
def test_a_file_adds_the_commands_that_the_table_names(file: str) -> None:
    app = typer.Typer()
    app.callback()(lambda: None)
    import_module(f"daemon.commands.{file}").add_to(app)
    assert set(get_group(app).commands) == set(COMMANDS[file])


@pytest.mark.parametrize("command", [name for names in COMMANDS.values() for name in names])
def test_a_command_is_found_by_its_name(command: str) -> None:
    assert command in get_group(application([command, "--help"])).commands


@pytest.mark.parametrize("arguments", [[], ["--help"], ["no-such-command"]])
def test_help_and_what_is_mistyped_see_every_command(arguments: list[str]) -> None:
    found = get_group(application(arguments)).commands
    assert {name for names in COMMANDS.values() for name in names} <= set(found)
    assert {"backtest", "simulate"} <= set(found)


def test_a_command_of_another_package_is_found() -> None:
    assert "backtest" in get_group(application(["backtest", "--data", "x"])).commands

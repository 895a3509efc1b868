"""The generated pages by name."""

from collections.abc import Callable
from pathlib import Path

from manual.api import write_api
from manual.configuration import write_choices, write_commands
from manual.errors import write_errors

# File of the site -> what writes it, given the root of the project.
GENERATED: dict[str, Callable[[Path], str]] = {
    "api.md": write_api,
    "choices.md": write_choices,
    "configuration.md": write_commands,
    "errors.md": write_errors,
}

"""A folder of its own for the demo, empty at every start, and what stands in its configuration."""

import shutil
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from tidemill_apps.mailroom.demo.mails import OWNER

FOLDER: Final = Path(".tidemill/mailroom-demo")

_CONFIGURATION: Final = """\
applications:
  mailroom:
    sync: {allow_private: true}                      # the IMAP server is on this machine
    spam: {filter: {allow: [harbour.example]}}       # nothing of one's own house is spam
"""


def settle_in(environment: MutableMapping[str, str]) -> Path:
    """Make the folder anew and let the mailroom of this process live there; answers where."""
    folder = FOLDER.absolute()
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    configuration = folder / "tidemill.yaml"
    configuration.write_text(_CONFIGURATION, "utf-8")
    environment.update(variables(folder))
    return folder


def variables(folder: Path) -> dict[str, str]:
    """What has to stand in the environment of whoever looks into a folder of the demo."""
    return {
        "TIDEMILL_MAILROOM_DIR": str(folder),
        "TIDEMILL_CONFIG": str(folder / "tidemill.yaml"),
        "TIDEMILL_MAILROOM_USER": OWNER,
    }

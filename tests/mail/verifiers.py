"""What others say of a signed letter: dkimpy (Python), Mail::DKIM (Perl), OpenDKIM (C). The DNS is what a test says."""

import re
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import dkim

from tests import needs
from vestnik.mail.dkim import signer
from vestnik.mail.dkim_keys import Algorithm, SigningKey, load_key, new_private_key, record_name, record_value

DOMAIN = "example.org"
NOON = datetime(2025, 1, 31, 12, 0, 0, 999999, tzinfo=UTC)
DRIVER = Path(__file__).with_name("verify.pl")

Records = Mapping[str, str]
"""Texts of TXT records, by their names."""

PRIVATE = {algorithm: new_private_key(algorithm) for algorithm in Algorithm}
KEYS: dict[Algorithm, SigningKey] = {
    algorithm: load_key(DOMAIN, algorithm.name.lower(), private) for algorithm, private in PRIVATE.items()
}
RSA, ED25519 = KEYS[Algorithm.RSA], KEYS[Algorithm.ED25519]
RECORDS = {record_name(DOMAIN, key.selector): record_value(PRIVATE[key.algorithm]) for key in KEYS.values()}
sign_by_both = signer([RSA, ED25519])
sign_by_ed25519 = signer([ED25519])


def dkimpy(letter: bytes, records: Records = RECORDS) -> list[bool]:
    """Whether each signature of the letter holds, those on top first."""
    verifier = dkim.DKIM(letter, minkey=1024)
    count = sum(name.lower() == b"dkim-signature" for name, _ in verifier.headers)

    def ask(name: bytes | str, timeout: int = 5) -> bytes | None:
        asked = name.decode() if isinstance(name, bytes) else name
        text = records.get(asked.removesuffix("."))
        return text and text.encode()

    def holds(number: int) -> bool:
        try:
            return bool(verifier.verify(idx=number, dnsfunc=ask))
        except dkim.DKIMException:
            return False

    return [holds(number) for number in range(count)]


@cache
def perl() -> str:
    return needs.program("perl", "libmail-dkim-perl", "-MMail::DKIM", "-e1")


@cache
def opendkim_program() -> str:
    return needs.program("opendkim", "opendkim", "-V")


def mail_dkim(letters: Sequence[bytes], folder: Path, records: Records = RECORDS) -> list[dict[str, str]]:
    """What Perl's Mail::DKIM says of each letter's signatures, by their selectors: `pass`, `fail`, `invalid`."""
    told = [part for name, text in records.items() for part in ("--record", name, text)]
    paths = _written(letters, folder)
    command = [perl(), str(DRIVER), *told, *paths]
    said = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()
    assert len(said) == len(letters)
    return [dict(each.split("=", 1) for each in line.split()) for line in said]


def opendkim(letters: Sequence[bytes], folder: Path, records: Records = RECORDS) -> list[dict[str, str]]:
    """What OpenDKIM says of each letter's signatures, by their selectors: `pass`, `fail`, `permerror`, `policy`."""
    configuration = folder / "opendkim.conf"
    configuration.write_text(opendkim_configuration(folder, records))
    return [_judged(opendkim_program(), configuration, path) for path in _written(letters, folder)]


def opendkim_configuration(folder: Path, records: Records = RECORDS) -> str:
    """What tells OpenDKIM to verify everybody's letters, and what stands in the DNS."""
    (folder / "records").write_text("".join(f"{name} {text}\n" for name, text in records.items()))
    return (
        f"Mode v\nSyslog no\nAuthservID verifier.example\nTestDNSData file:{folder}/records\n"
        "InternalHosts 192.0.2.1\nAlwaysAddARHeader yes\nMinimumKeyBits 1024\n"
    )


def results(header: str) -> dict[str, str]:
    """What an Authentication-Results line of OpenDKIM says, by selector."""
    return {found[2]: found[1] for found in re.finditer(r"\bdkim=(\w+)[^;]*?\bheader\.s=([\w.-]+)", header, re.DOTALL)}


def _judged(program: str, configuration: Path, path: str) -> dict[str, str]:
    command = [program, "-x", str(configuration), "-t", path, "-vv"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return results(done.stdout)


def _written(letters: Sequence[bytes], folder: Path) -> list[str]:
    paths = [folder / f"{number}.eml" for number in range(len(letters))]
    for path, letter in zip(paths, letters, strict=True):
        path.write_bytes(letter)
    return [str(path) for path in paths]

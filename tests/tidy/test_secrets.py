"""Nothing that is kept tells a secret, or on whose machine it was written."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

PUBLIC_HOSTS: Final = {
    *("127.0.0.1", "localhost", "0.0.0.0"),  # noqa: S104 - a word, not an address to listen on
    *("json-schema.org", "www.rfc-editor.org", "cloudevents.io", "www.w3.org"),
    *("openapi.alipay.com", "opendocs.alipay.com"),
    *("www.postgresql.org", "www.rabbitmq.com", "kubernetes.io", "prometheus.io", "github.com"),
    "www.standardwebhooks.com",
}
"""What a kept file may point at; besides names without a dot, and names reserved for examples."""

RESERVED: Final = (".example", ".test", ".invalid", "example.com", "example.org")

URL_HOST: Final = re.compile(r"[a-z][a-z+]*://(?:[^/\s@\"'`]*@)?(?P<host>[A-Za-z0-9.-]+)")
OF_A_MACHINE: Final = re.compile(
    r"(?<![\w./~$}-])/(?:home|Users|root|work|workspace|builds|mnt|private)/[\w.]"
)
SECRETS: Final = {
    "a private key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:\\n|\s)*[A-Za-z0-9+/]{40}"),
    "an RSA private key": re.compile(r"\bMIIE[opvw][A-Za-z0-9+/]{40}"),
    "a token of this platform": re.compile(r"\bsh[ms]_[A-Za-z0-9_-]{30}"),
    "a token of a code host": re.compile(r"\b(?:gh[pousr]_|glpat-)[A-Za-z0-9_-]{20}"),
    "a cloud key": re.compile(r"\bAKIA[A-Z0-9]{16}\b"),
    "a signed token": re.compile(r"\beyJ[A-Za-z0-9_-]{20,}\.eyJ"),
}


def test_no_secret_is_kept(texts: Mapping[str, str]) -> None:
    found = [
        f"{name} holds {what}"
        for name, text in texts.items()
        for what, pattern in SECRETS.items()
        if pattern.search(text)
    ]
    assert not found, f"Draw secrets when they are needed, revoke these: {found}"


def test_no_path_of_a_machine_is_kept(texts: Mapping[str, str], root: Path) -> None:
    found = [
        f"{name}: {line.strip()}"
        for name, text in texts.items()
        for line in text.splitlines()
        if OF_A_MACHINE.search(line) or (len(root.parts) > 2 and f"{root}/" in line)
    ]
    assert not found, f"Say it relative to the checkout, or let it be configured: {found}"


def test_every_host_is_a_public_one(texts: Mapping[str, str]) -> None:
    """A package registry's address, above all, belongs to whoever installs, not to the project."""
    found = {
        f"{name}: {host}"
        for name, text in texts.items()
        for host in (match["host"].strip(".") for match in URL_HOST.finditer(text))
        if "." in host and host not in PUBLIC_HOSTS and not host.endswith(RESERVED)
    }
    assert not found, f"Remove these, or if the public needs them extend PUBLIC_HOSTS: {found}"


def test_requirements_are_pinned_by_hash_and_come_from_nowhere_in_particular(root: Path) -> None:
    locks = sorted((root / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["dev.txt", "runtime.txt"]
    for lock in locks:
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, f"{lock.name} names an address: run `make lock`"
        pinned = re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ")
        for requirement in pinned.splitlines():
            assert re.match(
                r"[A-Za-z0-9._-]+(?:\[[\w,-]+\])?==\S+ .*--hash=sha256:", requirement
            ), f"{lock.name}: {requirement[:60]!r} is not pinned by hash: run `make lock`"

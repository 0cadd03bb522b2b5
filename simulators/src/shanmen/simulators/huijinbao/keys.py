"""The channel's own keys: each has an id, the newest signs, and all of them can be told."""

import re
from pathlib import Path
from typing import Final

from shanmen.simulators.signing import SigningKey

_FILE: Final = re.compile(r"huijinbao_key_k(\d+)\.pem")


class ChannelKeys:
    """Keys `k1`, `k2`, … in files of a folder."""

    def __init__(self, folder: Path) -> None:
        """Read the keys; on the first start make one."""
        self._folder = folder
        numbers = [
            int(match[1]) for path in folder.iterdir() if (match := _FILE.fullmatch(path.name))
        ]
        self._keys = {number: self._load(number) for number in sorted(numbers) or [1]}

    @property
    def current_id(self) -> str:
        """The id of the key that signs."""
        return f"k{max(self._keys)}"

    @property
    def current(self) -> SigningKey:
        """The key that signs."""
        return self._keys[max(self._keys)]

    def rotate(self) -> str:
        """Make a new key and sign with it from now on; its id."""
        number = max(self._keys) + 1
        self._keys[number] = self._load(number)
        return self.current_id

    def public_pems(self) -> dict[str, str]:
        """Every key's public half by its id."""
        return {f"k{number}": key.public_pem() for number, key in self._keys.items()}

    def _load(self, number: int) -> SigningKey:
        return SigningKey.load_or_create(self._folder / f"huijinbao_key_k{number}.pem")

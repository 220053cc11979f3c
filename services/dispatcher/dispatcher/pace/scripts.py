"""Lua scripts that have to trust what Redis holds, though after a restart it may hold an old state.

They are called by their hash (EVALSHA). Redis keeps scripts in memory only: if it does not know one, it was restarted,
and then the key is deleted that vouches for the rest.
"""

import json
from typing import Any, cast

import redis

from vestnik.redis_client import new_client

TIME = "local time = redis.call('TIME'); local now = time[1] * 1000000 + time[2]"
"""Lua that reads the time into `now`, in microseconds."""


class Scripts:
    """Some scripts and their connections to Redis. Every call raises redis.RedisError if it does not answer."""

    def __init__(self, url: str | None, vouching: str, sources: dict[str, str], clock: str = TIME) -> None:
        """Register `sources`: Lua by name, which finds the time in `now`, and its arguments in `spec`.

        `vouching`: the key to delete after a restart. `clock`: the Lua that reads the time, for tests.
        """
        self.client = new_client(url or "")
        self._vouching = vouching
        prelude = f"{clock}\nlocal spec = cjson.decode(ARGV[1])\n"
        self._scripts = {name: self.client.register_script(prelude + source) for name, source in sources.items()}

    def run(self, name: str, keys: list[str], spec: dict[str, Any]) -> Any:
        """Run the script of that name, and return its answer."""
        sha, arguments = self._scripts[name].sha, [*keys, json.dumps(spec)]
        try:
            return self.client.evalsha(sha, len(keys), *arguments)
        except redis.exceptions.NoScriptError:
            self.client.delete(self._vouching)
            for script in self._scripts.values():
                self.client.script_load(cast(str, script.script))
            return self.client.evalsha(sha, len(keys), *arguments)

    def close(self) -> None:
        """Disconnect from Redis."""
        self.client.close()

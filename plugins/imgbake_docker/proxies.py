"""The proxies that docker's own settings have builds use: `proxies` in config.json.

docker's command hands them to builds as arguments that no Dockerfile needs to declare, and that neither an
image nor a cache remembers. The engine alone knows nothing of them.
"""

from __future__ import annotations

import os

from imgbake_docker import asking

_NAMES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}


def arguments() -> dict[str, str]:
    """Build arguments, each in capitals and in small letters: for the engine in use, else the default."""
    said = asking.settings().get("proxies")
    if not isinstance(said, dict):
        return {}
    host = os.environ.get("DOCKER_HOST") or f"unix://{asking.usual_socket()}"
    chosen = said.get(host) or said.get("default")
    if not isinstance(chosen, dict):
        return {}
    found = {name: str(chosen[key]) for key, name in _NAMES.items() if chosen.get(key)}
    return found | {name.lower(): value for name, value in found.items()}

"""`python -m web.health [URL]`: for images without curl. Exit code 0 if the web can serve, else 1; a line says why."""

import json
import sys
import urllib.error
import urllib.request

READY = "http://127.0.0.1:8000/readyz"
SECONDS = 4.0


def main() -> int:
    """Ask, print the answer, and return the exit code: 0 if all is well."""
    url = sys.argv[1] if len(sys.argv) > 1 else READY
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # whatever proxy the environment names
    try:
        with opener.open(url, timeout=SECONDS) as answer:
            parts = json.load(answer)
    except urllib.error.HTTPError as error:
        parts = _parts(error)
    except (OSError, ValueError) as error:
        print(f"The web does not answer: {error}")
        return 1
    wrong = [f"{name}: {state}" for name, state in parts.items() if state != "ok"]
    print("; ".join(wrong) or "ready")
    return 1 if wrong else 0


def _parts(error: urllib.error.HTTPError) -> dict[str, str]:
    """Return what an answer that is no 200 says of the parts."""
    try:
        return dict(json.load(error))
    except ValueError:
        return {"web": f"answers {error.code}"}


if __name__ == "__main__":
    sys.exit(main())

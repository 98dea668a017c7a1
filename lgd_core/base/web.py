"""Whether a web address can be reached."""

import http.client
import threading
import urllib.error
import urllib.request


def reachable(address: str, seconds: float = 15) -> bool:
    """Whether a web address answers in time, name resolution and redirects included."""
    answered = threading.Event()

    def ask() -> None:
        try:
            urllib.request.urlopen(address, timeout=seconds).close()
        except urllib.error.HTTPError:
            answered.set()
        except (OSError, http.client.HTTPException):
            return
        else:
            answered.set()
        finally:
            finished.set()

    finished = threading.Event()
    threading.Thread(target=ask, daemon=True).start()
    finished.wait(seconds)
    return answered.is_set()

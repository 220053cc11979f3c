"""What a smoke test looks at beside letters: images and containers, pages and their copies."""

import time
from concurrent.futures import ThreadPoolExecutor

from ops import OpsError
from ops.compose import run
from ops.smoke.installation import PROJECT, Installation, eventually, inspect
from ops.smoke.visitor import Answer, Visitor

NOT_IN_IMAGES = ("gcc", "cc", "g++", "make", "pip", "pip3", "uv", "git", "npm", "node")
PUBLIC = {
    "Content-Security-Policy": "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Request-ID": "",
}
PUBLISH = """
import time
from vestnik.blog import verbs
from vestnik.blog.models import Post
verbs.save_post(Post(title="Smoke %(number)d", slug="smoke-%(number)d", content="<p>Rising.</p>", draft=False))
print(time.time())
"""
PICTURE = """
import io
from PIL import Image
from vestnik.blog import images
file = io.BytesIO()
Image.linear_gradient("L").resize((1000, 600)).save(file, "PNG")
file.name = "smoke.png"
print(images.store(file).address(480))
"""


def images(site: Installation) -> str:
    """See that the images are this installation's, run as nobody special and hold no tools; return their sizes."""
    ours = sorted(name for name in set(site.compose("config", "--images").split()) if name.startswith(f"{PROJECT}-"))
    stay = [image for image in ours if not image.endswith("-first-start")]
    if len(stay) != 4:
        raise OpsError(f"The images that were built are {ours}.")
    for image in stay:
        user = inspect(image)[0]["Config"]["User"]
        if user in ("", "0", "root"):
            raise OpsError(f"{image} runs as root.")
        look = f"for each in {' '.join(NOT_IN_IMAGES)}; do command -v $each; done; true"
        command = ["docker", "run", "--rm", "--network", "none", "--entrypoint", "sh", image, "-c", look]
        if found := run(command).split():
            raise OpsError(f"{image} holds {', '.join(found)}.")
    return ", ".join(f"{image} {inspect(image)[0]['Size'] / 1e6:.0f} MB" for image in stay)


def containers(site: Installation) -> str:
    """See that every container is confined, and nginx and the receiver of bounces are the only doors."""
    found = inspect(*site.all())
    for each in found:
        host, name = each["HostConfig"], each["Name"].strip("/")
        if not host["ReadonlyRootfs"]:
            raise OpsError(f"{name} can write on its root.")
        if "ALL" not in (host["CapDrop"] or []) or "no-new-privileges:true" not in (host["SecurityOpt"] or []):
            raise OpsError(f"{name} may do more than it needs.")
        if host["LogConfig"]["Config"].get("max-size") is None:
            raise OpsError(f"{name}'s log grows without end.")
        if host["PortBindings"] and "-nginx-" not in name and "-bounces-" not in name:
            raise OpsError(f"{name} has a door of its own.")
        if host["PortBindings"] and any(bind["HostIp"] != "127.0.0.1" for [bind] in host["PortBindings"].values()):
            raise OpsError("A trial is open to the network.")
        if each["State"]["Running"] and "-secrets-" not in name and not host["Memory"]:
            raise OpsError(f"{name} may take all memory.")
        if each["State"]["Running"] and each["State"].get("Health", {}).get("Status") != "healthy":
            raise OpsError(f"{name} is not healthy, or nobody looks.")
    users = {run(["docker", "exec", each["Id"], "id", "-u"]) for each in found if each["State"]["Running"]}
    if "0" in users:
        raise OpsError("A container that stays runs as root.")
    return f"{len(found)} containers, read-only, without capabilities, as users {', '.join(sorted(users, key=int))}"


def headers(site: Installation) -> str:
    """Check what pages say beside what they show, and what nobody is shown."""
    visitor = Visitor(site.url)
    for path in ("/en/", "/en/blog/", "/en/accounts/login/"):
        answer = visitor.get(path)
        for name, words in PUBLIC.items():
            if words not in (answer.headers[name] or "nothing"):
                raise OpsError(f"{path} says {name}: {answer.headers[name]}")
        if "/" in (answer.headers["Server"] or ""):
            raise OpsError(f"{path} tells the version: {answer.headers['Server']}")
    if "Set-Cookie" in Visitor(site.url).get("/en/").headers:
        raise OpsError("A visitor of the home page got a cookie.")
    for path in ("/front/views/x", "/front/seen", "/metrics"):
        if visitor.get(path).status not in (404, 403):
            raise OpsError(f"{path} is shown to strangers.")
    return f"{len(PUBLIC)} headers on public and personal pages; the inner rooms are shut"


def copies(site: Installation) -> str:
    """See that public pages come from nginx's copies, and say how long one takes."""
    visitor = Visitor(site.url)
    for path in ("/en/", "/ru/", "/en/blog/", "/en/blog/feed/"):
        _wait_for_a_copy(visitor, path)
    began = time.perf_counter()
    for _ in range(20):
        visitor.get("/en/")
    return f"HIT, {(time.perf_counter() - began) / 20 * 1000:.1f} ms a page"


def publishing(site: Installation, number: int = 1) -> str:
    """Publish a post: it shows on a page of which there is a copy within two seconds."""
    visitor = Visitor(site.url)
    _wait_for_a_copy(visitor, "/en/blog/")
    with ThreadPoolExecutor(1) as thread:
        shown = thread.submit(_shown_at, visitor, f"Smoke {number}")
        published = float(site.django(PUBLISH % {"number": number}))
        waited = shown.result() - published
    if waited > 2:
        raise OpsError(f"The post showed after {waited:.1f} s.")
    return f"{max(waited, 0):.2f} s after the commit"


def staleness(site: Installation) -> str:
    """Stop the web: nginx shows the copies that it has meanwhile, and is honest about the rest."""
    visitor = Visitor(site.url)
    _wait_for_a_copy(visitor, "/en/")
    site.compose("stop", "web")
    began = time.monotonic()
    try:
        # The copy is fresh for half a minute yet; and the name "web" is not found any more.
        eventually("a stale copy", lambda: cache(visitor.get("/en/")) == "STALE", 45, 0.5)
        waited = time.monotonic() - began
        answer = visitor.get("/en/accounts/login/")
        if answer.status != 503 or not answer.headers["Retry-After"]:
            raise OpsError(f"A page that cannot be shown answers {answer.status}.")
    finally:
        site.compose("up", "--detach", "--wait", "--no-deps", "web")
    eventually("pages are fresh again", lambda: cache(visitor.get("/en/")) in ("HIT", "EXPIRED", "UPDATING"), 20, 0.5)
    return f"STALE after {waited:.0f} s, 503 with Retry-After elsewhere, fresh with the web's return"


def cache(answer: Answer) -> str | None:
    """Return what nginx says of its copy. Raises OpsError for a page that is not there at all."""
    if answer.status != 200:
        raise OpsError(f"{answer.url} answers {answer.status}.")
    return answer.headers["X-Cache"]


def _wait_for_a_copy(visitor: Visitor, path: str) -> None:
    eventually(f"a copy of {path} is kept", lambda: cache(visitor.get(path)) == "HIT", 10)


def _shown_at(visitor: Visitor, words: str) -> float:
    eventually(f"{words} shows", lambda: words in visitor.get("/en/blog/").text, 20, 0.02)
    return time.time()

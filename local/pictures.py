"""`make pictures`: the README's pictures, taken by Chromium of what `make run` shows, light and dark.

Wants a `make run` under way whose database has the demo, and Chromium.
"""

import os
import shutil
import sys
from pathlib import Path

from local import LocalError
from local.demo import prepare
from local.run import ROOT, WRONG_CONFIGURATION

FOLDER = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 800
OWNER = "demo@vestnik.test"


def addresses() -> tuple[str, str, str]:
    """Return the site's address, the path of the demo's run with most failed letters, and the demo's password."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "web.settings")
    import django

    django.setup()
    from django.conf import settings
    from django.db.models import Sum
    from django.urls import reverse

    from vestnik import demo
    from vestnik.accounts.models import User
    from vestnik.mailings.ledger.models import Run

    owners = list(User.objects.filter(email=OWNER).values_list("pk", flat=True))
    runs = Run.objects.filter(owner_id__in=owners).annotate(failed=Sum("tallies__failed", default=0))
    run = runs.order_by("-failed", "-pk").first()
    if run is None:
        raise LocalError("There is no demo in the data of `make run`: `make demo` makes one.")
    return settings.SITE_URL, reverse("runs:detail", args=[run.pk]), demo.password()


def take(folder: Path) -> list[Path]:
    """Take the pictures; return the files that were written. Raises LocalError."""
    site, run, password = addresses()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        raise LocalError("Chromium is not installed (on Debian: apt install chromium).")
    from playwright.sync_api import sync_playwright

    folder.mkdir(parents=True, exist_ok=True)
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-dev-shm-usage"])
        for scheme in ("light", "dark"):
            context = browser.new_context(
                base_url=site, color_scheme=scheme, locale="en-GB", viewport={"width": WIDTH, "height": HEIGHT}
            )
            page = context.new_page()
            page.goto("/en/")
            taken.append(folder / f"home-{scheme}.png")
            page.screenshot(path=taken[-1])
            page.goto("/en/accounts/login/")
            page.get_by_label("E-mail").fill(OWNER)
            page.get_by_label("Password").fill(password)
            page.get_by_role("button", name="Sign in").click()
            page.wait_for_url("**/overview/**")
            page.goto(run, wait_until="networkidle")
            taken.append(folder / f"run-{scheme}.png")
            page.screenshot(path=taken[-1])
            context.close()
        browser.close()
    return taken


def main() -> int:
    """Take the pictures; return the exit status."""
    try:
        prepare()
        taken = take(FOLDER)
    except LocalError as failure:
        print(failure, file=sys.stderr)
        return WRONG_CONFIGURATION
    print(*(path.relative_to(ROOT) for path in taken), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

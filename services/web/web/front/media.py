"""The blog's pictures, where no nginx serves them."""

from django.core.files.storage import default_storage
from django.http import FileResponse, Http404, HttpRequest
from django.utils.cache import patch_cache_control
from django.views.decorators.http import require_safe

from vestnik.blog.models import file_name

YEAR = 365 * 24 * 60 * 60
KINDS = {"webp": "image/webp", "jpg": "image/jpeg"}


@require_safe
def serve(request: HttpRequest, picture: str, width: int, suffix: str) -> FileResponse:
    """Serve one file of a picture, for good: its address names its content."""
    if suffix not in KINDS:
        raise Http404
    try:
        file = default_storage.open(file_name(picture, width, suffix))
    except OSError:
        raise Http404 from None
    response = FileResponse(file, content_type=KINDS[suffix])
    response.headers["Content-Security-Policy"] = "default-src 'none'"
    patch_cache_control(response, public=True, max_age=YEAR, immutable=True)
    return response

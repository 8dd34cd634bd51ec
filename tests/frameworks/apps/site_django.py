"""The tests' site in Django. The routes are listed in tests/frameworks/test_frameworks.py."""

import hashlib

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.handlers.asgi import ASGIRequest
from django.core.wsgi import get_wsgi_application
from django.http import FileResponse, JsonResponse, StreamingHttpResponse
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY="of no worth",
    ALLOWED_HOSTS=["*"],
    MIDDLEWARE=["django.contrib.sessions.middleware.SessionMiddleware"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    LOGGING={
        "version": 1,
        "disable_existing_loggers": False,
        "handlers": {"console": {"class": "logging.StreamHandler"}},
        "loggers": {"django.request": {"handlers": ["console"], "level": "ERROR"}},
    },
)


def json_(request):
    return JsonResponse({"hello": "wörld", "numbers": [1, 2, 3], "host": request.get_host()})


def form(request):
    return JsonResponse(request.POST.dict())


def upload(request):
    data = request.FILES["file"].read()
    return JsonResponse({"size": len(data), "sha256": hashlib.sha256(data).hexdigest()})


def raw(request):
    digest, size = hashlib.sha256(), 0
    while data := request.read(65536):
        digest.update(data)
        size += len(data)
    return JsonResponse({"size": size, "sha256": digest.hexdigest()})


def download(request, pieces):
    def stream():
        for number in range(pieces):
            yield bytes([number % 251]) * 65536

    async def async_stream():
        for piece in stream():
            yield piece

    content = async_stream() if isinstance(request, ASGIRequest) else stream()
    return StreamingHttpResponse(content, content_type="application/octet-stream")


def cookies(request):
    answer = JsonResponse(request.COOKIES)
    answer.set_cookie("session", "s1", httponly=True)
    answer.set_cookie("theme", "dark")
    return answer


def file(request):
    return FileResponse(open(__file__, "rb"), content_type="text/x-python")


def visits(request):
    request.session["visits"] = request.session.get("visits", 0) + 1
    return JsonResponse({"visits": request.session["visits"]})


def error(request):
    raise RuntimeError("a bug in the view")


urlpatterns = [
    path("json", json_),
    path("form", form),
    path("upload", upload),
    path("raw", raw),
    path("download/<int:pieces>", download),
    path("cookies", cookies),
    path("file", file),
    path("visits", visits),
    path("error", error),
]
asgi = get_asgi_application()
wsgi = get_wsgi_application()

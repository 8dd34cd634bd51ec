"""A site of Django's, for WSGI and for ASGI."""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

settings.configure(SECRET_KEY="x", ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__)


def order(request, number):
    return JsonResponse({"order": number, "lines": [1, 2, 3]})


urlpatterns = [path("orders/<int:number>", order)]
wsgi = get_wsgi_application()
asgi = get_asgi_application()

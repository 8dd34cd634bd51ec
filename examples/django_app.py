"""A Django project in one file, served over ASGI or WSGI (pip install django).

bare-serve examples/django_app.py:asgi --workers 2
bare-serve examples/django_app.py:wsgi --workers 2
"""

from django.conf import settings
from django.core.asgi import get_asgi_application
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path

settings.configure(ROOT_URLCONF=__name__, SECRET_KEY="only an example", ALLOWED_HOSTS=["*"])


def hello(request):
    name = request.GET.get("name", "world")
    return HttpResponse(f"Hello, {name}! This is Django.\n", content_type="text/plain")


urlpatterns = [path("", hello)]
asgi = get_asgi_application()
wsgi = get_wsgi_application()

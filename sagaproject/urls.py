"""The project's addresses: storefront, API, admin."""

from django.contrib import admin
from django.urls import include, path

from sagaproject.storefront import storefront

urlpatterns = [
    path("", storefront, name="storefront"),
    path("admin/", admin.site.urls),
    path("api/", include("sagas.api.urls")),
]

"""`WorkItemAdmin`: what waits for a person, the oldest first. The buttons that do the work lead to the verbs'
own confirmations; only who looks after an item, and what is said about it, is changed here."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils.translation import gettext

from ..models import WorkItem
from . import cells, links
from .columns import subject_column
from .readonly import ReadOnlyAdmin
from .work_acts import ACTS, respond
from .work_filters import Wishes
from .work_views import item_views

#: Items on one page.
PAGE = 25


@admin.register(WorkItem)
class WorkItemAdmin(ReadOnlyAdmin):
    """Debts, approvals and other holds that ask for a person."""

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """As sagas."""
        return bool(request.user.has_perm("sagas.view_saga"))

    def has_module_permission(self, request: HttpRequest) -> bool:
        """As sagas."""
        return self.has_view_permission(request)

    def get_urls(self) -> list[URLPattern]:
        """A view per thing that is changed here."""
        own = [
            path(
                f"{name}/",
                self.admin_site.admin_view(partial(self.act_view, name=name)),
                name=f"sagas_workitem_{name}",
            )
            for name in ACTS
        ]
        return [*own, *super().get_urls()]

    def act_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """Take an item, give it back, or say something about it. Only a POST does."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        return respond(request, name)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """A page of items, found by the indexes over the open ones; a constant number of queries."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        wishes = Wishes.read(request)
        keys = wishes.keys(request.user)
        page = wishes.page(len(keys), PAGE)
        shown = keys[page.first : page.first + PAGE]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "media": self.media,
            "title": gettext("Work items"),
            "wishes": wishes,
            "query": request.GET.urlencode(),
            "items": item_views(shown, request.user, subject_column(request, self.admin_site)),
            "pages": page,
            "count": wishes.count(len(keys)),
            **(extra_context or {}),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/sagas/work/list.html", context)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """An item's page is its saga's, at the step."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        key = unquote(object_id)
        number = int(key) if key.isascii() and key.isdecimal() and len(key) < 19 else 0
        item = self.get_queryset(request).filter(pk=number).only("saga_id", "position").first()
        if item is None:
            return HttpResponseRedirect(links.work())
        return HttpResponseRedirect(f"{cells.page_of(item.saga_id)}?step={item.position}#step-{item.position}")

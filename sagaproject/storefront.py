"""The storefront at `/`: one page that places an order and shows its saga's steps as they happen.

It only offers choices. The order goes from the browser through the REST API, as any other client's would; a
POST to this page signs the visitor in or out.
"""

from dataclasses import asdict, dataclass
from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from participants.contracts import CURRENCIES
from participants.inventory.catalogue import catalogue
from participants.orders.sagas import OrderProcessing
from sagaproject import accounts

#: What stands on the page of the whole catalogue.
SHOWN = ("MUG-BLUE", "TEAPOT", "TEA-SENCHA", "KNIFE-CHEF", "LANTERN-LTD")

CARDS = {
    "tok_4242": "A good card",
    "tok_0002": "Declined by the bank",
    "tok_0119": "Charged, but the first answer is lost",
    "tok_0341": "Charged, but no answer ever comes",
}

ADDRESSES = {
    "lisboa": {
        "name": "Inês Duarte",
        "street": "Rua Augusta 5",
        "city": "Lisboa",
        "postcode": "1100-048",
        "country": "PT",
    },
    "york": {
        "name": "Oliver Hughes",
        "street": "Stonegate 12",
        "city": "York",
        "postcode": "YO1 8AS",
        "country": "GB",
    },
    "kyoto": {
        "name": "佐藤 葵",
        "street": "木屋町通 3",
        "city": "京都市",
        "postcode": "604-8001",
        "country": "JP",
    },
    "mcmurdo": {
        "name": "Emma Lindqvist",
        "street": "Vehicle Road 1",
        "city": "McMurdo Station",
        "postcode": "96599",
        "country": "AQ",
    },
}

CART = {"MUG-BLUE": 2, "TEA-SENCHA": 1}
#: One for each way that an order can go; choosing one fills in the form.
SCENARIOS: list[dict[str, Any]] = [
    {"label": "All goes well", "cart": CART, "card": "tok_4242", "address": "lisboa"},
    {"label": "Answer lost once", "cart": CART, "card": "tok_0119", "address": "lisboa"},
    {"label": "Not enough stock", "cart": {"MUG-BLUE": 50_000}, "card": "tok_4242", "address": "lisboa"},
    {"label": "Address not served", "cart": CART, "card": "tok_4242", "address": "mcmurdo"},
    {"label": "Card declined", "cart": CART, "card": "tok_0002", "address": "york"},
    {"label": "Charged, no answer", "cart": CART, "card": "tok_0341", "address": "kyoto"},
    {"label": "Parcel too large", "cart": {"TEA-SENCHA": 31}, "card": "tok_4242", "address": "york"},
]


@dataclass(frozen=True)
class ShownStep:
    """A step as the page shows it before anything runs."""

    name: str
    action: str
    compensation: str
    no_compensation: str
    #: Names of the steps that run at the same time.
    beside: str


def shown_steps() -> list[ShownStep]:
    """The steps of the saga in their order, groups opened."""
    shown = []
    for item in OrderProcessing.steps:
        group = getattr(item, "steps", (item,))
        for step in group:
            beside = ", ".join(other.name for other in group if other is not step)
            shown.append(ShownStep(step.name, step.action, step.compensation, step.no_compensation, beside))
    return shown


class Storefront(LoginView):
    """The page, with a sign-in form for those who have not signed in."""

    template_name = "storefront.html"
    next_page = "storefront"

    def post(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        # Not the admin's sign-out: that one turns away who is no staff, still signed in.
        if "sign_out" in request.POST:
            logout(request)
            return redirect("storefront")
        return super().post(request, *args, **kwargs)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        articles = [article for article in catalogue() if article.sku in SHOWN]
        return super().get_context_data(
            articles=articles,
            currencies=list(CURRENCIES),
            cards=CARDS,
            addresses=ADDRESSES,
            scenarios=SCENARIOS,
            steps=shown_steps(),
            definition=OrderProcessing.name,
            # Read by the page's script.
            shop={
                "definition": OrderProcessing.name,
                "articles": {article.sku: asdict(article) for article in articles},
                "digits": dict(CURRENCIES),
                "addresses": ADDRESSES,
                "scenarios": SCENARIOS,
            },
            # Only a demonstration offers to sign in as its operator.
            operator={"name": accounts.NAME, "password": accounts.PASSWORD} if settings.DEMO else None,
            **kwargs,
        )


storefront = Storefront.as_view()

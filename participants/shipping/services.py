"""Check an address, schedule a parcel, call it back: what the shipping service can do, whoever asks."""

import hashlib
from uuid import UUID

from django.utils import timezone

from participants.contracts import MAX_ID, Address, Request, Result, read_address, whole
from participants.shipping.models import Operation, Parcel
from sagas import Rejected

#: Where the carrier goes, and in how many days.
DAYS_TO = {
    **dict.fromkeys(["DE", "AT", "CH", "NL", "BE", "LU", "FR", "DK", "PL", "CZ"], 2),
    **dict.fromkeys(["PT", "ES", "IT", "IE", "GB", "SE", "FI", "NO", "GR", "EE"], 4),
    **dict.fromkeys(["US", "CA", "JP", "AU", "NZ", "BR"], 9),
}
#: The largest parcel that the carrier takes.
MAX_PIECES = 30


def validate_address(request: Request) -> Result:
    """Say how long a parcel takes to get there; changes nothing."""
    return {"days": DAYS_TO[_serviceable(read_address(request)).country]}


def schedule(key: str, request: Request, *, saga: UUID) -> Result:
    """Hand a parcel to the carrier."""
    result, _ = Operation.do_once(key, lambda: _schedule(key, request, saga))
    return result


def cancel(key: str) -> None:
    """Call back the parcel that was scheduled under `key`; if none was, none will be."""
    Operation.undo_once(key, lambda result: _cancel(key))


def _schedule(key: str, request: Request, saga: UUID) -> Result:
    address = _serviceable(read_address(request))
    pieces = whole(request, "pieces", limit=MAX_ID)
    if pieces > MAX_PIECES:
        raise Rejected(f"a parcel holds {MAX_PIECES} pieces, not {pieces}", code="parcel_too_large")
    parcel = Parcel.objects.create(
        key=key,
        saga=saga,
        order_id=whole(request, "order_id", limit=MAX_ID),
        tracking=_tracking(key),
        pieces=pieces,
        recipient=address.name,
        street=address.street,
        city=address.city,
        postcode=address.postcode,
        country=address.country,
    )
    return {"tracking": parcel.tracking}


def _serviceable(address: Address) -> Address:
    if address.country not in DAYS_TO:
        raise Rejected(f"nothing is shipped to {address.country}", code="address_unserviceable")
    return address


def _tracking(key: str) -> str:
    return f"PX{hashlib.sha256(key.encode()).hexdigest()[:16].upper()}"


def _cancel(key: str) -> None:
    Parcel.objects.filter(key=key, cancelled_at=None).update(cancelled_at=timezone.now())

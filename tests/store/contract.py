"""The contract that every store passes. A host's own store (`SAGAS["STORE"]`) can be held against it in the same way:

class TestMyStore(StoreContract):
    @pytest.fixture
    def store(self): ...      # an empty store
    @pytest.fixture
    def books(self, store): ...      # tests.store.books.Books: how its history is read
"""

from .contract_apply import ApplyContract
from .contract_insert import InsertContract, ReadContract
from .contract_locks import LockContract
from .contract_notes import NoteContract
from .contract_payloads import PayloadContract
from .contract_resubmit import ResubmitContract
from .contract_undo_outputs import UndoOutputContract
from .contract_wake import WakeContract


class StoreContract(
    InsertContract,
    ReadContract,
    ApplyContract,
    PayloadContract,
    UndoOutputContract,
    WakeContract,
    ResubmitContract,
    LockContract,
    NoteContract,
):
    """All of it."""

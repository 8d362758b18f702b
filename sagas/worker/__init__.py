"""The worker process: claims steps, acknowledges hints, runs handlers in threads, commits results in groups.

    hints ─┐                    ┌─ handler thread ─┐
    sweep ─┼─> inbox ─> committer ─ handler thread ─┼─> inbox (results)
    beat ──┘      (one thread,  └─ handler thread ─┘
                   one transaction per group)

The committer alone talks to the store's write side. A result frees its slot, and the commit that records it may claim
the saga's next step for the same worker (inline continuation). Results never wait for slots; hints do.
"""

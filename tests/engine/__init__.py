"""The use cases: starting, operating, committing, flagging what is stale."""

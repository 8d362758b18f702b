"""The user's commands, as a user runs them."""

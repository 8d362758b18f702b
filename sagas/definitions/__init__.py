"""What developers write: definitions, steps, handlers. Needs no database and no settings to be imported."""

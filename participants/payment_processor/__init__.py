"""A workflow in YAML (`sagas.yaml`), with functions in the form of the workflow tutorial."""

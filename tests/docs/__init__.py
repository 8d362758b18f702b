"""The README and docs are tests: their generated parts are compared, their commands and snippets run."""

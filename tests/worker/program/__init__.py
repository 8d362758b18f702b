"""A small project for the tests of `manage.py saga_worker`: started as a program, killed and signalled."""

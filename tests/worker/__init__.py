"""The worker process: its parts alone, the whole in process, and the whole as a program."""

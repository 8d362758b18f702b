"""App configuration; the label keeps the benchmark's handlers apart from any host's."""

from django.apps import AppConfig


class BenchConfig(AppConfig):
    name = "benchmarks.app"
    label = "bench"

"""Django settings of the benchmark: the reusable app alone, on the database and the broker of one cell."""

from benchmarks.place import here

_PLACE = here()

SECRET_KEY = "benchmark"
USE_TZ = True
DEBUG = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "sagas", "benchmarks.app"]
DATABASES = {"default": {**_PLACE.django_database, "CONN_MAX_AGE": None}}
SAGAS = {
    "BROKER_URL": _PLACE.broker_url,
    "EXCHANGE": f"{_PLACE.prefix}.sagas",
    "STEP_QUEUE": f"{_PLACE.prefix}.steps",
    "COMPENSATE_QUEUE": f"{_PLACE.prefix}.compensate",
    "DEAD_LETTER_EXCHANGE": f"{_PLACE.prefix}.dead-letter",
    "DEAD_LETTER_QUEUE": f"{_PLACE.prefix}.dead-letter",
}
LOGGING = {
    "version": 1,
    "handlers": {"stderr": {"class": "logging.StreamHandler"}},
    "root": {"handlers": ["stderr"], "level": "WARNING"},
}

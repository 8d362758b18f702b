"""Settings of the demo project. The only place that reads the environment.

DATABASE_URL, BROKER_URL, SECRET_KEY, DEBUG, DEMO, HTTPS, ALLOWED_HOSTS, CSRF_TRUSTED_ORIGINS, LOG_LEVEL,
CELERY_QUEUE, VAR_DIR, and any `SAGAS_<NAME>` for `SAGAS["<NAME>"]`. Without them the project runs on a SQLite
file in `var/` and needs no broker.
"""

import os
from pathlib import Path

from sagaproject import environment

BASE_DIR = Path(__file__).resolve().parent.parent
#: What a run leaves behind: the SQLite file, the secret key, Celery's directory.
VAR_DIR = Path(os.environ.get("VAR_DIR") or BASE_DIR / "var")
VAR_DIR.mkdir(parents=True, exist_ok=True)

DEBUG = environment.flag(os.environ, "DEBUG")
#: `make run` and `make demo` set it: the storefront offers the demo operator's login.
DEMO = environment.flag(os.environ, "DEMO")
SECRET_KEY = os.environ.get("SECRET_KEY") or environment.kept_secret(VAR_DIR / "secret_key")
ALLOWED_HOSTS = environment.words(os.environ, "ALLOWED_HOSTS", default="localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = environment.words(os.environ, "CSRF_TRUSTED_ORIGINS")

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "rest_framework.authtoken",
    "django_filters",
    "drf_spectacular",
    "django_celery_beat",
    "sagas",
    "sagaproject",
    "participants.orders",
    "participants.inventory",
    "participants.payments",
    "participants.payment_processor",
    "participants.shipping",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "sagaproject.urls"
WSGI_APPLICATION = "sagaproject.wsgi.application"
ASGI_APPLICATION = "sagaproject.asgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

DATABASES = {
    "default": environment.database(
        os.environ.get("DATABASE_URL") or f"sqlite:///{VAR_DIR / 'sagas.sqlite3'}",
    ),
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
LOGIN_URL = "admin:login"

LANGUAGE_CODE = "en"
# Those that sagas is translated into: Django alone has many more, and a page in two languages helps nobody.
LANGUAGES = [("en", "English"), ("de", "Deutsch")]
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "static/"
STATIC_ROOT = VAR_DIR / "static"
STATIC_ROOT.mkdir(exist_ok=True)
STATICFILES_DIRS = [BASE_DIR / "participants" / "static"]
# Files come straight from the apps: nobody has to run collectstatic first.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = DEBUG

if environment.flag(os.environ, "HTTPS"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_HSTS_SECONDS = 31_536_000
    SECURE_HSTS_INCLUDE_SUBDOMAINS = True
    SECURE_HSTS_PRELOAD = True
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True

# --- sagas

BROKER_URL = environment.broker(os.environ.get("BROKER_URL", ""))
SAGAS = {**environment.prefixed(os.environ, "SAGAS_"), "BROKER_URL": BROKER_URL}

# --- the API. sagas sets authentication, permissions and pages on its own views; this is for others.

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "rest_framework.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}
SPECTACULAR_SETTINGS = {"TITLE": "sagas", "VERSION": "1", "SERVE_INCLUDE_SCHEMA": False}

# --- Celery: housekeeping on a schedule. Without a broker it passes its messages through a directory.

CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_DEFAULT_QUEUE = os.environ.get("CELERY_QUEUE", "sagas.celery")
CELERY_TIMEZONE = TIME_ZONE
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_BROKER_URL = BROKER_URL or "filesystem://localhost//"
if not BROKER_URL:
    _MAIL = VAR_DIR / "celery"
    for _directory in ("queue", "control"):
        (_MAIL / _directory).mkdir(parents=True, exist_ok=True)
    CELERY_BROKER_TRANSPORT_OPTIONS = {
        "data_folder_in": str(_MAIL / "queue"),
        "data_folder_out": str(_MAIL / "queue"),
        "control_folder": str(_MAIL / "control"),
    }
    CELERY_WORKER_ENABLE_REMOTE_CONTROL = False

# --- one line per record, with what the record carries beside its message

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "sagaproject.logs.LineFormatter"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": os.environ.get("LOG_LEVEL", "INFO").upper()},
    "loggers": {
        # Its own handlers would print each record a second time, in another form.
        "django": {"handlers": [], "level": "INFO", "propagate": True},
        "django.server": {"handlers": [], "propagate": True},
        "celery.beat": {"level": "WARNING"},
        # Each connection tells its life; what matters of it the transport says itself.
        "pika": {"level": "WARNING"},
    },
}

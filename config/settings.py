"""Settings: one file, read from the environment. See docs/settings.md for every variable."""

from __future__ import annotations

import secrets
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import django_stubs_ext
from celery.schedules import crontab
from django.core.exceptions import ImproperlyConfigured
from django.templatetags.static import static

from config.env import env, env_bool, env_choice, env_int, env_list, env_share

django_stubs_ext.monkeypatch()

BASE_DIR = Path(__file__).resolve().parent.parent

DEBUG = env_bool("DEBUG")
# Without a SECRET_KEY every start makes its own: sessions end and signed addresses die with the process.
SECRET_KEY = env("SECRET_KEY") or secrets.token_urlsafe(48)
SECRET_KEY_FALLBACKS = env_list("SECRET_KEY_FALLBACKS")
PUBLIC_URL = env("PUBLIC_URL", "http://127.0.0.1:8000").rstrip("/")
ALLOWED_HOSTS = env_list("ALLOWED_HOSTS", f"{urlsplit(PUBLIC_URL).hostname},127.0.0.1,localhost")
CSRF_TRUSTED_ORIGINS = env_list("CSRF_TRUSTED_ORIGINS", PUBLIC_URL)

INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",  # before the admin: its templates come first
    "unfold.contrib.filters",
    "accounts.apps.ConsoleConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "django_htmx",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.usersessions",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.google",
    "allauth.socialaccount.providers.github",
    "allauth.socialaccount.providers.openid_connect",
    "config",
    "accounts",
    "billing",
    "providers",
    "jobs",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "config.middleware.RequestIdMiddleware",
    "config.middleware.RequestLogMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.middleware.PackedPagesMiddleware",
    "config.middleware.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "allauth.account.middleware.AccountMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
# A redirect turns an SDK's POST into a GET; API paths are matched as they are written.
APPEND_SLASH = False

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
                "accounts.context.account",
                "billing.context.balance",
            ]
        },
    }
]


def database(url: str) -> dict[str, object]:
    """DATABASE_URL (postgresql://user:password@host:port/name) as Django's dictionary, with psycopg's pool."""
    parts = urlsplit(url)
    options: dict[str, object] = {"connect_timeout": 5, "application_name": env("PROCESS_NAME", "voicereel")}
    pool = env_int("DATABASE_POOL", 8)
    if pool:
        options["pool"] = {"min_size": 1, "max_size": pool, "timeout": 15}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")) or "voicereel",
        "USER": unquote(parts.username or "postgres"),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname or "127.0.0.1",
        "PORT": str(parts.port or 5432),
        "OPTIONS": options,
    }


DATABASE_URL = env("DATABASE_URL", "postgresql://postgres@127.0.0.1:5432/voicereel")
DATABASES = {"default": database(DATABASE_URL)}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = env("REDIS_URL", "redis://127.0.0.1:6379/0")
CACHES = {
    "default": {
        "BACKEND": "accounts.cache.CalmRedisCache",
        "LOCATION": REDIS_URL,
        "KEY_PREFIX": "cache",
        "OPTIONS": {"socket_timeout": 1, "socket_connect_timeout": 1},
    }
}

# --- files -----------------------------------------------------------------------------------------------------
S3_BUCKET = env("S3_BUCKET")
MEDIA_ROOT = Path(env("MEDIA_DIR", str(BASE_DIR / ".voicereel" / "files")))
# Where browsers reach the store: pages may show its media. The endpoint itself where that is not another.
S3_PUBLIC_ENDPOINT = env("S3_PUBLIC_ENDPOINT", env("S3_ENDPOINT_URL"))
S3_STORAGE = {
    "BACKEND": "storages.backends.s3.S3Storage",
    "OPTIONS": {
        "bucket_name": S3_BUCKET,
        "endpoint_url": env("S3_ENDPOINT_URL") or None,
        "access_key": env("S3_ACCESS_KEY") or None,
        "secret_key": env("S3_SECRET_KEY") or None,
        "region_name": env("S3_REGION", "us-east-1"),
        "addressing_style": env("S3_ADDRESSING_STYLE", "path"),
        "signature_version": "s3v4",
        "file_overwrite": True,
        "default_acl": None,
    },
}
FILE_STORAGE = {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": MEDIA_ROOT}}
STORAGES: dict[str, dict[str, Any]] = {
    "default": S3_STORAGE if S3_BUCKET else FILE_STORAGE,
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedStaticFilesStorage"},
}
STATIC_URL = "/static/"
# Packed by `collectstatic`: in the image, or in the home of an embedded stack. A bare checkout serves its own files.
STATIC_ROOT = Path(env("STATIC_ROOT", str(BASE_DIR / "staticfiles")))
STATICFILES_DIRS = [BASE_DIR / "static"]
# The finders' plain files would take the place of the packed ones.
WHITENOISE_USE_FINDERS = not STATIC_ROOT.is_dir()
DATA_UPLOAD_MAX_MEMORY_SIZE = 5 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024

# Hosts (host or host:port) that input and webhook addresses may name although they are private. Empty by default.
FETCH_ALLOW_HOSTS = env_list("FETCH_ALLOW_HOSTS")
UPLOAD_MAX_BYTES = env_int("UPLOAD_MAX_BYTES", 200 * 1024 * 1024)
OUTPUT_URL_SECONDS = env_int("OUTPUT_URL_SECONDS", 7 * 24 * 3600)

# One proxy of ours stands in front, and its X-Forwarded-For and X-Forwarded-Proto are to be believed.
BEHIND_PROXY = env_bool("BEHIND_PROXY")


def sign_in_services() -> dict[str, Any]:
    """The services that people may sign in with, as allauth wants them named."""

    def app(prefix: str, **more: Any) -> dict[str, Any]:
        return {"client_id": env(f"{prefix}_CLIENT_ID"), "secret": env(f"{prefix}_CLIENT_SECRET"), **more}

    found: dict[str, Any] = {}
    if env("OIDC_CLIENT_ID"):
        server = {"server_url": env("OIDC_SERVER_URL"), "oauth_pkce_enabled": True}
        name = env("OIDC_NAME", "single sign-on")
        found["openid_connect"] = {"APPS": [app("OIDC", provider_id="company", name=name, settings=server)]}
    if env("GOOGLE_CLIENT_ID"):
        found["google"] = {"APPS": [app("GOOGLE")], "SCOPE": ["profile", "email"], "OAUTH_PKCE_ENABLED": True}
    if env("GITHUB_CLIENT_ID"):
        found["github"] = {"APPS": [app("GITHUB")], "SCOPE": ["read:user", "user:email"]}
    return found


def origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


# --- accounts --------------------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("MinimumLengthValidator", "CommonPasswordValidator", "NumericPasswordValidator")
]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = env("ACCOUNT_EMAIL_VERIFICATION", "optional")
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_SESSION_REMEMBER = True
ACCOUNT_ADAPTER = "accounts.signup.SignupAdapter"
ACCOUNT_SIGNUP_FORM_CLASS = "accounts.forms.SignupForm"
ACCOUNT_FORMS = {"signup": "accounts.signup.EntranceForm"}
# allauth counts sign-in attempts by address; behind our proxy it must look one hop further.
ALLAUTH_TRUSTED_PROXY_COUNT = 1 if BEHIND_PROXY else 0
# Functions that other rooms run for every new organization, in its transaction.
ORGANIZATION_CREATED = ["billing.welcome.grant_welcome"]
# And for every alert about an organization's money, in the transaction that raises it.
ALERT_RAISED = ["jobs.notify.enqueue_alert"]
# What an organization uses of the limits that billing keeps.
QUOTAS_IN_USE = "jobs.in_use.in_use"
MFA_ADAPTER = "accounts.signup.SecondFactorAdapter"
MFA_TOTP_ISSUER = "Voicereel"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_FORMS = {"add_webauthn": "accounts.forms.PasskeyForm"}
# Browsers themselves allow passkeys without https on localhost alone.
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not PUBLIC_URL.startswith("https://")
# Changing the address, a second factor or a connection asks once more who it is.
ACCOUNT_REAUTHENTICATION_REQUIRED = True
ACCOUNT_CHANGE_EMAIL = True
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "/"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_EMAIL_NOTIFICATIONS = True
# Letters go to the mail server that is named; without one they are printed.
EMAIL_HOST = env("EMAIL_HOST", "localhost")
SMTP, PRINTED = (
    "django.core.mail.backends.smtp.EmailBackend",
    "django.core.mail.backends.console.EmailBackend",
)
EMAIL_BACKEND = env("EMAIL_BACKEND", SMTP if env("EMAIL_HOST") else PRINTED)
EMAIL_SECURITY = env("EMAIL_SECURITY", "starttls" if env("EMAIL_HOST_USER") else "none")
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_SECURITY == "starttls", EMAIL_SECURITY == "tls"
EMAIL_PORT = env_int("EMAIL_PORT", {"starttls": 587, "tls": 465}.get(EMAIL_SECURITY, 25))
EMAIL_HOST_USER = env("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env("EMAIL_HOST_PASSWORD")
EMAIL_TIMEOUT = env_int("EMAIL_TIMEOUT", 15)
DEFAULT_FROM_EMAIL = env("DEFAULT_FROM_EMAIL", "Voicereel <no-reply@localhost>")

# Sign-in by another service: each is offered where it has a client id.
SOCIALACCOUNT_ADAPTER = "accounts.signup.ServiceAdapter"
SOCIALACCOUNT_PROVIDERS = sign_in_services()
# Browsers hold form-action against the redirect that follows a form: where the buttons lead.
SIGN_IN_ORIGINS = env_list("OIDC_ORIGINS", origin(env("OIDC_SERVER_URL"))) if env("OIDC_CLIENT_ID") else []
SIGN_IN_ORIGINS += ["https://accounts.google.com"] if env("GOOGLE_CLIENT_ID") else []
SIGN_IN_ORIGINS += ["https://github.com"] if env("GITHUB_CLIENT_ID") else []

# A deletion waits and may be called off; a copy of the data ends; it leaves out files that are too much together.
ERASURE_GRACE_DAYS = env_int("ERASURE_GRACE_DAYS", 7)
EXPORT_DAYS = env_int("EXPORT_DAYS", 7)
EXPORT_FILES_BYTES = env_int("EXPORT_FILES_BYTES", 2 * 1024**3)

# --- the operator's console ------------------------------------------------------------------------------------
CONSOLE_PATH = env("CONSOLE_PATH", "console").strip("/") + "/"
UNFOLD = {
    "SITE_TITLE": "Voicereel console",
    "SITE_HEADER": "Voicereel",
    "SITE_SUBHEADER": "Operator's console",
    "SITE_SYMBOL": "movie",
    "DASHBOARD_CALLBACK": "jobs.overview.overview",
    "STYLES": [lambda _request: static("css/console.css")],
    "SHOW_HISTORY": False,  # the audit record is the history
    "SHOW_VIEW_ON_SITE": False,
    "BORDER_RADIUS": "6px",
    # The tints of static/css/tokens.css' accent.
    "COLORS": {
        "primary": {
            "50": "#f3f4fd",
            "100": "#e9ecfb",
            "200": "#cfd6f8",
            "300": "#a3b1ff",
            "400": "#7486ee",
            "500": "#4d60da",
            "600": "#3346c4",
            "700": "#27379f",
            "800": "#222f80",
            "900": "#1e2a68",
            "950": "#141b45",
        }
    },
    "SIDEBAR": {"show_search": True, "navigation": "accounts.console.menu.groups"},
}

# --- API -------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.auth.KeyAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.auth.HasCaller"],
    "DEFAULT_THROTTLE_CLASSES": ["billing.throttles.ReadThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Voicereel",
    "DESCRIPTION": "One picture and one voice, or one picture and one motion clip, become a video, billed by the second.",
    "VERSION": "1",
    "LICENSE": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    "SERVERS": [{"url": "/"}],
    "OAS_VERSION": "3.1.0",
    "SCHEMA_PATH_PREFIX": "/v1",
    "SORT_OPERATION_PARAMETERS": False,
    "PREPROCESSING_HOOKS": ["jobs.dialects.rest.openapi.only_v1"],
    "POSTPROCESSING_HOOKS": ["jobs.dialects.rest.openapi.with_components"],
    "ENABLE_DJANGO_DEPLOY_CHECK": False,  # it is compared with docs/openapi.json in the tests
}

# --- providers -------------------------------------------------------------------------------------------------
# Slug to adapter class; adding a provider is one folder and one line here.
PROVIDERS = {
    "wavespeed": "providers.wavespeed.adapter.WaveSpeedAdapter",
    "dashscope": "providers.dashscope.adapter.DashScopeAdapter",
    "inferencesh": "providers.inferencesh.adapter.InferenceShAdapter",
    "openai_videos": "providers.openai_videos.adapter.OpenAIVideosAdapter",
    "local": "providers.local.adapter.LocalAdapter",
    "fake": "providers.fake.adapter.FakeAdapter",
}
# The fake provider answers only where it is asked for: test and fault-drill installations.
FAKE_PROVIDER = env_bool("FAKE_PROVIDER")
# Whether providers are asked to call us back. They need to reach PUBLIC_URL, and most call https only.
PROVIDER_CALLBACKS = env_bool("PROVIDER_CALLBACKS", default=PUBLIC_URL.startswith("https://"))
RENDER_DIR = Path(env("RENDER_DIR", str(BASE_DIR / ".voicereel" / "renders")))

# --- billing ---------------------------------------------------------------------------------------------------
DEFAULT_TIER = env("DEFAULT_TIER", "bronze")
SIGNUP_CREDIT_USD = env("SIGNUP_CREDIT_USD", "0")
# Without a key nothing is sold here: credit comes from the operator.
STRIPE_SECRET_KEY = env("STRIPE_SECRET_KEY")
# Of the endpoint for snapshots, of the one for thin events, and old ones while they are changed.
STRIPE_WEBHOOK_SECRETS = env_list("STRIPE_WEBHOOK_SECRETS")
STRIPE_API_URL = env("STRIPE_API_URL")
STRIPE_TIMEOUT_SECONDS = env_int("STRIPE_TIMEOUT_SECONDS", 10)
STRIPE_RETRIES = env_int("STRIPE_RETRIES", 1)
STRIPE_TAX = env_bool("STRIPE_TAX")
STRIPE_COLLECTOR = env("STRIPE_COLLECTOR", "meters")
TOPUP_MIN_USD = env("TOPUP_MIN_USD", "5")
TOPUP_MAX_USD = env("TOPUP_MAX_USD", "5000")
# More than this an operator does not move for an organization in a day without a second one.
TWO_PERSON_USD = env("TWO_PERSON_USD", "500")

# --- jobs ------------------------------------------------------------------------------------------------------
JOB_LIFE_SECONDS = env_int("JOB_LIFE_SECONDS", 24 * 3600)
# First pause before a failed step is tried again; it doubles with each try.
RETRY_STEP = timedelta(milliseconds=env_int("RETRY_STEP_MS", 2000))
ORPHAN_SECONDS = env_int("ORPHAN_SECONDS", 60)
RENDER_LEASE_SECONDS = env_int("RENDER_LEASE_SECONDS", 15)
# How long a WaveSpeed sync submit is held, and how many requests of all kinds may wait in a process with few threads.
WAVESPEED_SYNC_SECONDS = env_int("WAVESPEED_SYNC_SECONDS", 90)
SYNC_WAITERS = env_int("SYNC_WAITERS", 4)
# One try of a webhook in all, from the look-up of its host on; and how long the log of deliveries is kept.
WEBHOOK_TIMEOUT_SECONDS = env_int("WEBHOOK_TIMEOUT_SECONDS", 15)
WEBHOOK_LOG_DAYS = env_int("WEBHOOK_LOG_DAYS", 30)
# How long the log of API requests is kept (0: there is none), and how many entries of one organization.
REQUEST_LOG_DAYS = env_int("REQUEST_LOG_DAYS", 7)
REQUEST_LOG_ROWS = env_int("REQUEST_LOG_ROWS", 100_000)
# Dialect to the function that draws a webhook's headers and body.
DIALECT_WEBHOOKS = {
    "rest": "jobs.dialects.rest.webhooks.render",
    "wavespeed": "jobs.dialects.wavespeed.webhooks.render",
    "inferencesh": "jobs.dialects.inferencesh.webhooks.render",
}
# Who judges what pictures and films show: one of these, or the dotted name of another class; nobody where it is empty.
MODERATION_CHECKERS = {
    "transformers": "jobs.moderation.classifier.Classifier",
    "nudenet": "jobs.moderation.detector.Detector",
}
MODERATION_CHECKER = env("MODERATION_CHECKER")
# The interpreter that has the checker's libraries; "": our own.
MODERATION_PYTHON = env("MODERATION_PYTHON")
MODERATION_MODEL = env("MODERATION_MODEL")
MODERATION_LABELS = env_list("MODERATION_LABELS", "nsfw")
MODERATION_THRESHOLD = env_share("MODERATION_THRESHOLD", 0.8)
MODERATION_CHECKS = env_list("MODERATION_CHECKS", "input,output")
if unknown := {*MODERATION_CHECKS} - {"input", "output"}:
    raise ImproperlyConfigured(f"MODERATION_CHECKS may name input and output, not {', '.join(unknown)}.")
# What becomes of a flagged video, and of what nobody could judge.
MODERATION_FLAGGED = env_choice("MODERATION_FLAGGED", "mark", ("mark", "withhold"))
MODERATION_FAILED = env_choice("MODERATION_FAILED", "refuse", ("refuse", "pass"))
# How an order looks as a programme, by dialect in the order of the tabs.
DIALECT_EXAMPLES = [
    "jobs.dialects.rest.examples.examples",
    "jobs.dialects.wavespeed.examples.examples",
    "jobs.dialects.dashscope.examples.examples",
    "jobs.dialects.inferencesh.examples.examples",
]

# --- workers ---------------------------------------------------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "socket_timeout": 3,
    "socket_connect_timeout": 2,
    "health_check_interval": 15,
    "visibility_timeout": 300,
}
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_PUBLISH_RETRY = False
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_TASK_DEFAULT_QUEUE = "default"
CELERY_TIMEZONE = "UTC"
CELERY_BEAT_SCHEDULE = {
    "check-ledger": {"task": "billing.check_ledger", "schedule": 24 * 3600},
    "reconcile": {"task": "jobs.reconcile", "schedule": crontab(hour=3, minute=30)},
    "forget-answers": {"task": "jobs.forget_answers", "schedule": 3600},
    "expire-assets": {"task": "jobs.expire_assets", "schedule": 3600},
    "forget-deliveries": {"task": "jobs.forget_deliveries", "schedule": 3600},
    "look-for-alerts": {"task": "billing.look_for_alerts", "schedule": 60},
    "forget-requests": {"task": "jobs.forget_requests", "schedule": 600},
    "expire-exports": {"task": "jobs.expire_exports", "schedule": 3600},
    "finish-uploads": {"task": "jobs.finish_uploads", "schedule": 3600},
}

# --- locale, security, logs ------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
TIME_ZONE = "UTC"
USE_TZ = True
HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = HTTPS
CSRF_COOKIE_SECURE = HTTPS
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if BEHIND_PROXY else None
X_FRAME_OPTIONS = "DENY"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "text": {"format": "%(levelname)s %(name)s %(message)s"},
        "json": {"()": "config.logs.JsonFormatter"},
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": env("LOG_FORMAT", "text")}},
    "root": {"handlers": ["stderr"], "level": env("LOG_LEVEL", "INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
    },
}

# The platform's one image; docker-compose.yml runs each process from it.
FROM python:3.11-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1
WORKDIR /app

# The lock first: this layer is built anew only when the lock changes.
COPY requirements/run.lock requirements/
RUN pip install --require-hashes -r requirements/run.lock

COPY . .
RUN SECRET_KEY=build python manage.py collectstatic --no-input \
    && useradd --uid 1000 --no-create-home voicereel \
    && mkdir /data && chown voicereel /data

USER voicereel
VOLUME /data
EXPOSE 8000
CMD ["gunicorn", "config.wsgi:application", "--bind", "0.0.0.0:8000", "--worker-class", "gthread", "--workers", "2", "--threads", "8"]

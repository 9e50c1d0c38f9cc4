# syntax=docker/dockerfile:1
# The application, its worker, the rollout's watch and every command of operations: one image, one process per container.
# It runs as nobody in particular, on a root file system that is never written to; only /data and /tmp are.

FROM python:3.11-slim-bookworm AS build
WORKDIR /app
COPY requirements.txt ./
RUN python -m venv /opt/venv \
    && /opt/venv/bin/python -m pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.txt
COPY app.py ./
COPY .streamlit ./.streamlit
COPY recon_engine ./recon_engine
COPY services ./services
COPY ops ./ops
COPY pages ./pages
RUN /opt/venv/bin/python -m compileall -q .

FROM python:3.11-slim-bookworm
# PostgreSQL's client programs make and restore backups: their major version must be the server's (15).
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install --yes --no-install-recommends postgresql-client-15 \
    && rm -rf /var/lib/apt/lists/*
RUN groupadd --gid 10001 recon \
    && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin recon \
    && install --directory --owner=recon --group=recon --mode=0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /app /app

ARG VERSION=development
ENV PATH=/opt/venv/bin:$PATH \
    HOME=/data \
    MALLOC_ARENA_MAX=2 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RECON_DATA_DIR=/data \
    RECON_VERSION=$VERSION
WORKDIR /app
USER 10001:10001
VOLUME /data
EXPOSE 2000
# SIGTERM drains: give it RECON_JOB_DRAIN_SECONDS and 15 seconds more before anything harder.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:2000/api/health/live', timeout=4)"]
CMD ["streamlit", "run", "app.py", "--server.port=2000", "--server.address=0.0.0.0", "--server.headless=true"]

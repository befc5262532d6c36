# syntax=docker/dockerfile:1
# Two images from one file: `docker build --target web .` (no torch) and `docker build --target worker .` (CUDA).

FROM python:3.11-slim-bookworm AS base
ENV PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    LIPSYNC_DATA_DIR=/data/jobs \
    LIPSYNC_MODEL_CACHE_DIR=/data/models \
    LIPSYNC_LOG_FORMAT=json
SHELL ["/bin/bash", "-o", "pipefail", "-c"]
# The volumes take their owner from these folders.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ffmpeg \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin studio \
    && install -d -o studio -g studio /data/jobs /data/models
WORKDIR /studio

FROM base AS web
COPY constraints.txt requirements-web.txt ./
RUN pip install -r requirements-web.txt
COPY LICENSE NOTICE app.py ./
COPY .streamlit .streamlit
COPY samples samples
COPY latentsync_core latentsync_core
COPY worker worker
COPY pages pages
# Of the model only what the page shows
COPY models/mini/bundle.json models/mini/MODEL_CARD.md models/mini/
USER studio
EXPOSE 8501
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8501/_stcore/health', timeout=4)"]
CMD ["python", "-m", "streamlit", "run", "app.py", "--server.address", "0.0.0.0", "--server.port", "8501"]

FROM base AS worker
# OpenCV's libraries
RUN apt-get update \
    && apt-get install -y --no-install-recommends libgl1 libglib2.0-0 \
    && rm -rf /var/lib/apt/lists/*
COPY constraints.txt requirements-web.txt requirements.txt ./
RUN pip install -r requirements.txt
COPY LICENSE NOTICE ./
COPY latentsync_core latentsync_core
COPY worker worker
COPY scripts scripts
COPY models models
USER studio
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=20s --timeout=15s --start-period=120s --retries=3 \
    CMD ["python", "-m", "scripts.worker_health"]
CMD ["python", "-m", "worker"]

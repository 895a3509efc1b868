# A server for transcription on a CPU: docker build -t asr . and then compose.yaml.
#
# Never built: the machine that it was written on has no Docker daemon. tests/test_containers.py
# checks what can be checked without one: that every path that is copied exists, every extra and
# option too, and hadolint's rules.
FROM python:3.12-slim-bookworm AS build
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++=4:12.* \
    && rm -rf /var/lib/apt/lists/*
# What changes seldom first, so that PyTorch is downloaded once.
RUN python -m venv /opt/asr \
    && /opt/asr/bin/pip install --no-cache-dir --index-url https://download.pytorch.org/whl/cpu \
    torch==2.11.0 torchaudio==2.11.0
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY native native
COPY conf conf
COPY asr asr
RUN /opt/asr/bin/pip install --no-cache-dir ".[train,serve,av]"

FROM python:3.12-slim-bookworm
# OpenMP's runtime of PyTorch's wheels; libsndfile and FFmpeg come in wheels of their own.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends libgomp1=12.* \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --uid 10001 asr
COPY --from=build /opt/asr /opt/asr
# Numba keeps what it compiles beside the source, which this user cannot write to.
ENV PATH=/opt/asr/bin:$PATH NUMBA_CACHE_DIR=/home/asr/.cache/numba
USER 10001
WORKDIR /home/asr
EXPOSE 8000
# The server answers after a second of audio went through the model.
HEALTHCHECK --interval=30s --timeout=20s --start-period=60s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=15)"]
ENTRYPOINT ["asr"]
# The model in the box; compose.yaml names one of yours.
CMD ["serve", "--host", "0.0.0.0", "--port", "8000"]

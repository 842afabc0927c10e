# syntax=docker/dockerfile:1
# docker build --target server  -t coderlplus-server  .     the judge over HTTP; needs no GPU
# docker build --target trainer -t coderlplus-trainer .     `coderlplus train`, with TRL and torch for CUDA
#
# Both run as an ordinary user, and need no flag of `docker run` for the sandbox: docs/containers.md.

FROM python:3.12-slim-bookworm AS base
ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
RUN useradd --uid 10001 --create-home coderlplus
WORKDIR /src
COPY pyproject.toml constraints.txt README.md LICENSE ./
COPY src src

FROM base AS server
RUN pip install --constraint constraints.txt '.[serve]'
USER coderlplus
WORKDIR /home/coderlplus
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["coderlplus"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8080"]

FROM base AS trainer
RUN pip install --constraint constraints.txt '.[trl]'
USER coderlplus
WORKDIR /home/coderlplus
ENTRYPOINT ["coderlplus"]
CMD ["train", "--help"]

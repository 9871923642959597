# For a reproducible build, append the digest: --build-arg BASE=python:3.11.15-slim-bookworm@sha256:…
ARG BASE=python:3.11.15-slim-bookworm

FROM ${BASE} AS build
# The extras of pyproject.toml to install, and a file of the checkout with pip's constraints.
ARG EXTRAS=service,mysql,s3,ui
ARG CONSTRAINTS=constraints.txt
WORKDIR /src
COPY ${CONSTRAINTS} /constraints.txt
COPY pyproject.toml README.md LICENSE ./
COPY data/manifest.imagenet-subset.tsv data/
COPY operators operators
COPY imgsearch imgsearch
RUN python -m venv /opt/imgsearch \
 && /opt/imgsearch/bin/pip install --no-cache-dir --constraint /constraints.txt ".[${EXTRAS}]" \
 && /opt/imgsearch/bin/pip uninstall --yes setuptools pip

FROM ${BASE}
ARG VERSION=0.2.0
LABEL org.opencontainers.image.title="imgsearch" \
      org.opencontainers.image.description="Image search over Milvus: service and page" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN python -m pip uninstall --yes setuptools wheel pip \
 && groupadd --gid 10001 imgsearch \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /data --shell /usr/sbin/nologin imgsearch \
 && install --directory --owner 10001 --group 10001 --mode 0750 /data
COPY --from=build /opt/imgsearch /opt/imgsearch
# The root file system may be read-only: data is written to /data, temporary files to /tmp.
ENV PATH=/opt/imgsearch/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    HOME=/data \
    IMGSEARCH_CACHE=/data/cache
WORKDIR /data
USER 10001:10001
EXPOSE 8000
# http.client, because urllib uses the proxies of the environment.
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
  CMD ["python", "-c", "import http.client as h; c = h.HTTPConnection('127.0.0.1', 8000, timeout=4); c.request('GET', '/v1/live'); raise SystemExit(c.getresponse().status != 200)"]
ENTRYPOINT ["imgsearch"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--data", "/data"]

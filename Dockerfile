# syntax=docker/dockerfile:1
# Builds the one binary, then puts it alone on a small base. It needs no file beside it but its data
# folder, so that the container's file system can be read-only.

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /source
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/source/target \
    cargo build --release --locked --bin confide \
    && cp target/release/confide /confide

FROM debian:bookworm-slim
RUN useradd --system --uid 10001 --user-group --no-create-home confide \
    && install -d -o confide -g confide -m 0700 /data
COPY --from=build /confide /usr/local/bin/confide
USER 10001:10001
ENV CONFIDE_LISTEN=0.0.0.0:8080 \
    CONFIDE_DATA_DIR=/data \
    CONFIDE_LOG_FORMAT=json
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
    CMD ["confide", "doctor", "--ready"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["confide"]
CMD ["serve"]

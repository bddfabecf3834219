# Debian's Prosody. A base that has it already needs no network.
ARG BASE_IMAGE=docker.io/library/debian:bookworm-slim
FROM ${BASE_IMAGE}
RUN command -v prosody >/dev/null || { apt-get update && apt-get install -y --no-install-recommends prosody && rm -rf /var/lib/apt/lists/*; }
RUN mkdir -p /var/lib/prosody && chown prosody: /var/lib/prosody
USER prosody
EXPOSE 5222 5347
CMD ["prosody", "-F", "--config", "/etc/prosody/prosody.cfg.lua"]

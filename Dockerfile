# The telemetry agent for gateways: its runtime and nothing of edgebench.
#   docker build -t edge-agent .
#   docker run -d --name edge-agent --read-only --restart unless-stopped \
#       -v /etc/edge-agent:/etc/edge-agent:ro -v /srv/models:/models:ro \
#       -v edge-spool:/var/lib/edge-agent -e EDGE_DATABASE_URL edge-agent
# docs/telemetry.md says more.
FROM python:3.11-slim-bookworm

COPY bench/agent/requirements.txt /opt/edge-agent/
RUN pip install --no-cache-dir --no-deps --require-hashes -r /opt/edge-agent/requirements.txt \
    && useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin edge-agent \
    && install --directory --owner edge-agent /var/lib/edge-agent
COPY bench/agent/edge_*.py bench/runners/invoke_loop.py /opt/edge-agent/

ENV EDGE_CONFIG=/etc/edge-agent/agent.toml \
    PYTHONDONTWRITEBYTECODE=1
USER 10001
# What waits for the database outlives the container. The model comes with -v /...:/models:ro.
VOLUME ["/var/lib/edge-agent"]

# Loads and allocates every model, and never while one is measured.
HEALTHCHECK --interval=5m --timeout=4m --start-period=1m --retries=2 \
    CMD ["python", "/opt/edge-agent/edge_agent.py", "--check"]
ENTRYPOINT ["python", "/opt/edge-agent/edge_agent.py"]

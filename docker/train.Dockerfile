# The command tfvrnn with TensorFlow for GPUs. Use: docs/scaling.md.
FROM python:3.11-slim

WORKDIR /opt/tfvrnn
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY tfvrnn tfvrnn
COPY configs configs
RUN pip install --no-cache-dir ".[gpu]"

# Datasets and runs are read and written here: mount a folder.
WORKDIR /work
ENTRYPOINT ["tfvrnn"]
CMD ["--help"]

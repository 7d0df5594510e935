#!/usr/bin/env bash
# A Slurm job: GPUS, GPUS_PER_NODE, CPUS_PER_TASK and SRUN_ARGS (more arguments of srun).
set -euo pipefail

USAGE="usage: slurm_run_pipeline.sh PARTITION JOB_NAME CONFIG [options of run_pipeline.py]"
PARTITION=${1:?$USAGE}
JOB_NAME=${2:?$USAGE}
CONFIG=${3:?$USAGE}
shift 3
GPUS=${GPUS:-4}
GPUS_PER_NODE=${GPUS_PER_NODE:-4}
read -r -a SRUN_ARGS <<< "${SRUN_ARGS:-}"
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

PYTHONPATH="$TOOLS/..${PYTHONPATH:+:$PYTHONPATH}" exec srun \
    -p "$PARTITION" \
    --job-name="$JOB_NAME" \
    --gres="gpu:$GPUS_PER_NODE" \
    --ntasks="$GPUS" \
    --ntasks-per-node="$GPUS_PER_NODE" \
    --cpus-per-task="${CPUS_PER_TASK:-5}" \
    --kill-on-bad-exit=1 \
    ${SRUN_ARGS[@]+"${SRUN_ARGS[@]}"} \
    python -u "$TOOLS/run_pipeline.py" "$CONFIG" --launcher slurm "$@"

#!/usr/bin/env bash
# A Ray cluster in a Slurm job, and a command of this project on it (docs/cluster.md). From the checkout:
#
#     sbatch docs/slurm.sh search.run --data path/to/folder --run cluster
#     sbatch docs/slurm.sh search.run --resume cluster
#     sbatch docs/slurm.sh analysis.best cluster --refit
#
#SBATCH --job-name=minbert-search
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --time=24:00:00
#SBATCH --no-kill
#SBATCH --signal=B:TERM@300
#
# Where nodes have GPUs, add --gpus-per-node. --no-kill: a node that fails does not take the others with it. --signal:
# five minutes before its time is up the command stops in order, and can be resumed.
set -euo pipefail
: "${1:?give a module and its flags, such as search.run --run cluster}"

bin=$PWD/.venv/bin
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
port=$((20000 + SLURM_JOB_ID % 5000 * 2)) # not that of another job on the same node
address=$head:$port

# Ray listens on the network, and lets in who has the token of this job. It goes by the environment, which other users
# can't read, and not by a command line, which they can.
export RAY_AUTH_MODE=token
RAY_AUTH_TOKEN=$("$bin/python" -c "import secrets; print(secrets.token_hex(32))")
export RAY_AUTH_TOKEN
export RAY_TMPDIR=/tmp/ray-$SLURM_JOB_ID # /tmp/ray may be another user's

nodes=()
trap 'kill "${nodes[@]}" 2>/dev/null || true; wait' EXIT
cores=$SLURM_CPUS_PER_TASK
start=(--cpus-per-task="$cores" --no-kill --kill-on-bad-exit=0
    "$bin/ray" start --block --num-cpus="$cores" --disable-usage-stats)

srun --nodes=1 --ntasks=1 --nodelist="$head" "${start[@]}" \
    --head --port="$port" --ray-client-server-port=$((port + 1)) --include-dashboard=false &
nodes+=($!)
until (: <"/dev/tcp/$head/$port") 2>/dev/null; do
    kill -0 "${nodes[0]}" # ends here where the head could not be started
    sleep 1
done
others=$((SLURM_NNODES - 1))
if ((others)); then
    srun --nodes="$others" --ntasks="$others" --exclude="$head" "${start[@]}" --address="$address" &
    nodes+=($!)
fi

# All of them, or those that came within two minutes: who comes later is used, too.
"$bin/python" - "$address" "$SLURM_NNODES" <<'WAIT'
import sys
import time

import ray

ray.init(sys.argv[1], logging_level="ERROR", log_to_driver=False)
deadline = time.monotonic() + 120
while sum(node["Alive"] for node in ray.nodes()) < int(sys.argv[2]) and time.monotonic() < deadline:
    time.sleep(1)
WAIT

"$bin/python" -m "$@" --address "$address" &
command=$!
trap 'kill -TERM "$command"' TERM
code=0
wait "$command" || code=$?
if kill -0 "$command" 2>/dev/null; then # the signal ended the wait, not yet the command
    code=0
    wait "$command" || code=$?
fi
exit "$code"

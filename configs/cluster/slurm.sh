#!/bin/bash
# An al-loop campaign on Slurm: a Ray cluster over the nodes of one allocation, and `al-loop run` on the first of them.
#
#   sbatch --nodes=4 slurm.sh CONFIG --run-dir /shared/runs/NAME [KEY=VALUE]...
#
# Everything behind the script's name goes to `al-loop run`. Submitted again, requeued, or started anew after a node was
# lost, the campaign goes on where it stopped. Two minutes before the time limit it is stopped cleanly and put back into
# the queue.
#
# What can be set in the environment:
#   AL_LOOP_VENV           the virtual environment with al-loop, on storage that all nodes see; left out: the PATH's
#   AL_LOOP_HEAD_IP        the first node's address in the network that Ray is to use; left out: its first one
#   AL_LOOP_RAY_OPTIONS    more options of `ray start`, for all nodes, e.g. "--object-store-memory=4000000000"
#   AL_LOOP_NODES_WAIT_S   how long nodes that do not join are waited for; left out: 300
#
#SBATCH --job-name=al-loop
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=1-00:00:00
#SBATCH --requeue
#SBATCH --no-kill
#SBATCH --open-mode=append
#SBATCH --signal=B:USR1@120
# with GPUs: sbatch --gpus-per-node=1 ...

set -euo pipefail

if (($# == 0)); then
    echo "usage: sbatch [SBATCH OPTIONS] slurm.sh CONFIG [--run-dir DIR] [KEY=VALUE]..." >&2
    exit 2
fi
: "${SLURM_JOB_ID:?is not set; start this script with sbatch}"
[[ -z ${AL_LOOP_VENV:-} ]] || export PATH="$AL_LOOP_VENV/bin:$PATH"
read -ra more <<< "${AL_LOOP_RAY_OPTIONS:-}"

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
ip=${AL_LOOP_HEAD_IP:-$(hostname -I | cut -d' ' -f1)}
port=$((20000 + SLURM_JOB_ID % 10000)) # jobs that share a node do not meet
export RAY_ADDRESS="$ip:$port"
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN # otherwise all users of these machines could run code in this Ray
RAY_AUTH_TOKEN=$(python -c 'import secrets; print(secrets.token_hex(32))')
options=(--num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}" --disable-usage-stats --block)
options+=(--dashboard-agent-listen-port=0 "${more[@]}")

steps=()
campaign=
requeue=no

start_ray() { # NODE OPTIONS...: a Ray node, in a job step of its own
    local node=$1
    shift
    env -u RAY_ADDRESS srun --nodes=1 --ntasks=1 --nodelist="$node" --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" \
        ray start "${options[@]}" "$@" &
    steps+=($!)
}
# shellcheck disable=SC2329  # the traps below call both
stop_campaign() { [[ -z $campaign ]] || kill -TERM "$campaign" 2> /dev/null || true; }
# shellcheck disable=SC2329
clean_up() {
    ((${#steps[@]} == 0)) || kill -TERM "${steps[@]}" 2> /dev/null || true
    wait
    rm -rf "/tmp/ray-$SLURM_JOB_ID"
}
trap clean_up EXIT
trap 'stop_campaign; [[ -n $campaign ]] || exit 143' TERM INT
trap 'requeue=yes; stop_campaign' USR1

start_ray "${nodes[0]}" --head --node-ip-address="$ip" --port="$port" --temp-dir="/tmp/ray-$SLURM_JOB_ID" \
    --include-dashboard=false
for node in "${nodes[@]:1}"; do
    start_ray "$node" --address="$RAY_ADDRESS"
done

# a campaign whose GPUs are on a node that has not joined yet would be refused
python - "${#nodes[@]}" "${AL_LOOP_NODES_WAIT_S:-300}" << 'END'
import sys, time

import ray

wanted, ends = int(sys.argv[1]), time.monotonic() + float(sys.argv[2])
while True:
    try:
        ray.init(address="auto", log_to_driver=False, logging_level="ERROR")
        break
    except (ConnectionError, RuntimeError) as error:
        if time.monotonic() > ends:
            sys.exit(f"the Ray head did not start: {error}")
        time.sleep(1)
while (n := sum(node["Alive"] for node in ray.nodes())) < wanted and time.monotonic() < ends:
    time.sleep(1)
print(f"{n} of {wanted} nodes have joined", flush=True)
END

al-loop run "$@" --address auto --quiet &
campaign=$!
code=0
while true; do
    wait "$campaign" && code=0 || code=$?
    kill -0 "$campaign" 2> /dev/null || break # otherwise a signal has ended only the waiting
done
if [[ $requeue == yes && $code -ne 0 ]]; then
    echo "the time is nearly up; the job goes back into the queue"
    scontrol requeue "$SLURM_JOB_ID"
fi
exit "$code"

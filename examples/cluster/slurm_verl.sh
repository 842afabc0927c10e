#!/usr/bin/env bash
# CodeRL+ on verl, on several nodes of 8 GPUs, in an environment with verl, vLLM and coderlplus[verl]:
#
#   sbatch --nodes=2 examples/cluster/slurm_verl.sh recipes/paper_7b_verl.yaml problems=/shared/problems.jsonl
#
# The folders of model, problems and output are shared by the nodes. After a time limit, the same command continues
# the run.
#SBATCH --job-name=coderlplus-verl
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=8
#SBATCH --cpus-per-task=64
#SBATCH --exclusive
#SBATCH --time=48:00:00
set -euo pipefail
if [ $# -lt 1 ]; then
    echo "name a configuration: sbatch $0 recipes/paper_7b_verl.yaml problems=/shared/problems.jsonl" >&2
    exit 2
fi

port=${PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$address" --port="$port" --num-gpus="$SLURM_GPUS_ON_NODE" --block &
sleep 20
if [ "${#nodes[@]}" -gt 1 ]; then
    others=$(IFS=,; echo "${nodes[*]:1}")
    srun --overlap --nodes=$((${#nodes[@]} - 1)) --ntasks-per-node=1 --nodelist="$others" \
        ray start --address="$address:$port" --num-gpus="$SLURM_GPUS_ON_NODE" --block &
    sleep 20
fi

srun --overlap --nodes=1 --ntasks=1 --nodelist="$head" --export="ALL,RAY_ADDRESS=$address:$port" \
    coderlplus train "$@" "verl.trainer.nnodes=${#nodes[@]}" "verl.trainer.n_gpus_per_node=$SLURM_GPUS_ON_NODE"
